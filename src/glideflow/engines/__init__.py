"""Engines: who gives energies, forces and stresses. One protocol, thin adapters."""
