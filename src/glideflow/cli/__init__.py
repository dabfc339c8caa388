"""The ``glideflow`` command."""
