"""Records of the Peierls-Nabarro baselines. Field names carry units; shapes and conventions stand here."""

from __future__ import annotations

from dataclasses import dataclass

from glideflow.crystals.lattices import FloatArray
from glideflow.storage import record


@record
@dataclass(frozen=True, kw_only=True)
class SemidiscreteResult:
    """A dislocation in the semidiscrete variational Peierls-Nabarro model, and the stress that moves it.

    Attributes:
        model: ``line``, disregistry along the Burgers vector only; ``surface``, both components in the plane;
            ``gradient``, as ``surface`` with the energy of the layers between the planes next to the cut.
        peierls_mpa: largest resolved shear stress that has an equilibrium: the lower of both directions. A lower bound
            of it where ``not seen to glide`` is among the flags.
        forward_mpa: the same for loading forward.
        reverse_mpa: the same for loading in reverse, in magnitude.
        x_angstrom: (n,) positions along the glide direction, relative to the core.
        disregistry_angstrom: (n, 2) disregistry without load along x and y of the slip system's frame, from 0 to b.
        width_angstrom: distance between the places where the component along b is b/4 and 3b/4.
        partial_separation_angstrom: distance between the outermost maxima of the density; None if it has one maximum.
        glided_angstrom: (p,) distance that the core has glided along the branch of equilibria, up to one row spacing.
        stress_mpa: (p,) resolved shear stress that holds the core there.
        flags: remarks: ``core changes as it glides``; ``below the resolution``; ``not seen to glide``, because the
            equilibria were lost or, ``limit of linear systems reached``, because there was no end of them.
        solves: linear systems solved on the way.
    """

    model: str
    peierls_mpa: float
    forward_mpa: float
    reverse_mpa: float
    x_angstrom: FloatArray
    disregistry_angstrom: FloatArray
    width_angstrom: float
    partial_separation_angstrom: float | None
    glided_angstrom: FloatArray
    stress_mpa: FloatArray
    flags: tuple[str, ...] = ()
    solves: int = 0

    @property
    def record_name(self) -> str:
        """Name among the models of a result."""
        return self.model


@record
@dataclass(frozen=True, kw_only=True)
class PeierlsNabarroResult:
    """Peierls stress of a straight dislocation by continuum models, from elastic constants and γ surface alone.

    Attributes:
        slip_system: name of the slip system.
        label: its indices.
        character: dislocation character, ``edge`` or ``screw``.
        cut: which plane the γ surface was cut along, ``wide`` or ``narrow``.
        peierls_mpa: value of the model ``surface``; None where that has no dislocation or was not computed.
        burgers_vector_angstrom: length of the Burgers vector.
        node_spacing_angstrom: distance between the points at which the misfit energy is summed.
        length_angstrom: period of the array in the semidiscrete models.
        resolution_mpa: stress that equals the tolerated force: smaller values are rounding; 0 in records that were made
            before it was stated.
        energy_tensor_gpa: (3, 3) Stroh energy tensor K in the frame of the slip system: the energy per length of a line
            is b·K·b/(4π) ln(R/r).
        energy_factor_gpa: K along the Burgers vector; μ/(1-ν) for an edge and μ for a screw in an isotropic crystal.
        gamma_line_mj_m2: largest γ along the Burgers vector.
        largest_slope_mpa: largest slope of γ along the Burgers vector: what the plane as a whole resists.
        half_width_sinusoidal_angstrom: half width ζ of the core for the sinusoidal γ of the same height.
        half_width_angstrom: half width ζ of the core for the sinusoidal γ of the same largest slope.
        peierls_sinusoidal_mpa: closed form with the former ζ.
        peierls_joos_duesbery_mpa: closed form with the latter ζ.
        models: the semidiscrete models that have a dislocation.
        flags: remarks, e.g. ``negative γ`` or ``surface: the core spreads ...`` for a model without dislocation and
            ``surface: not seen to glide ...`` for one whose stress is a lower bound.
    """

    slip_system: str
    label: str
    character: str
    cut: str
    peierls_mpa: float | None
    burgers_vector_angstrom: float
    node_spacing_angstrom: float
    length_angstrom: float
    resolution_mpa: float = 0.0
    energy_tensor_gpa: FloatArray
    energy_factor_gpa: float
    gamma_line_mj_m2: float
    largest_slope_mpa: float
    half_width_sinusoidal_angstrom: float
    half_width_angstrom: float
    peierls_sinusoidal_mpa: float
    peierls_joos_duesbery_mpa: float
    models: tuple[SemidiscreteResult, ...]
    flags: tuple[str, ...] = ()

    def model(self, name: str) -> SemidiscreteResult | None:
        """A semidiscrete model by name; None if it was not computed or has no dislocation."""
        return next((model for model in self.models if model.model == name), None)
