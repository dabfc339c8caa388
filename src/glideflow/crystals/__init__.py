"""Crystals: lattices, slip systems and their frames, slabs with a stacking fault, cells with a dislocation."""
