"""Mobility of dislocations: cells with moving lines, and the elastic stress on them."""
