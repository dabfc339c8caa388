"""Mobility of dislocations: cells with moving lines, and the elastic stress on them."""

from glideflow.mobility.stress import periodic_stress, segment_stress

__all__ = ["periodic_stress", "segment_stress"]
