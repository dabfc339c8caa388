"""glideflow: from interatomic physics to the strength of metals, as one reproducible workflow."""

__version__ = "0.1.0"
