"""Record of a Peierls stress by strain control. Field names carry units; shapes and conventions stand here."""

from __future__ import annotations

from dataclasses import dataclass

from glideflow.crystals.lattices import FloatArray
from glideflow.storage import record


@record
@dataclass(frozen=True, kw_only=True)
class PeierlsStrainResult:
    """Peierls stress as the largest stress while a dislocation cell is sheared.

    Attributes:
        slip_system: name of the slip system.
        label: its indices.
        character: dislocation character.
        cut: which plane was cut, ``wide`` or ``narrow``.
        direction: ``forward`` or ``reverse``.
        peierls_mpa: largest resolved shear stress of an equilibrium before the core had glided.
        peierls_error_mpa: what a displacement between the computed ones could add, and the resolution of the forces.
        resolution_mpa: stress whose driving force on one line period equals the force tolerance.
        force_tolerance_ev_per_angstrom: largest force component of an equilibrium.
        atoms: number of atoms.
        burgers_vectors: length of the upper half crystal in Burgers vectors.
        length_angstrom: cell length along the glide direction.
        height_angstrom: distance between lowest and highest plane.
        shear_strain: (K,) displacement of the rigid block over the height of the cell, relative to the unloaded cell,
            ascending.
        stress_mpa: (K,) resolved shear stress of the equilibrium there.
        core_position_angstrom: (K,) core position relative to the unloaded core.
        glide_strain: smallest strain at which the core glides.
        flags: remarks, e.g. ``unconverged steps``.
        evaluations: engine evaluations made.
    """

    slip_system: str
    label: str
    character: str
    cut: str
    direction: str
    peierls_mpa: float
    peierls_error_mpa: float
    resolution_mpa: float
    force_tolerance_ev_per_angstrom: float
    atoms: int
    burgers_vectors: int
    length_angstrom: float
    height_angstrom: float
    shear_strain: FloatArray
    stress_mpa: FloatArray
    core_position_angstrom: FloatArray
    glide_strain: float
    flags: tuple[str, ...] = ()
    evaluations: int = 0
