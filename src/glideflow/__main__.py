"""``python -m glideflow`` is the ``glideflow`` command."""

from glideflow.cli.app import main

main()
