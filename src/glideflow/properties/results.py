"""Records of computed properties. Field names carry units; shapes and conventions stand here."""

from __future__ import annotations

from dataclasses import dataclass

from glideflow.crystals.lattices import Crystal, FloatArray, crystal
from glideflow.storage import record


@record
@dataclass(frozen=True, kw_only=True)
class LatticeResult:
    """A relaxed perfect crystal.

    Attributes:
        structure: crystal structure.
        a_angstrom: lattice constant a, e.g. 3.615 for Cu.
        c_angstrom: lattice constant c (hcp), None for cubic structures.
        energy_ev_per_atom: energy of the relaxed crystal on the potential's own zero.
        residual_stress_gpa: largest stress component that is left.
        cutoff_angstrom: range of the potential.
        ground_state: which of fcc, bcc and hcp has the lowest energy, of those that could be relaxed; empty if not
            compared, or if ``structure`` is the lowest of them but another one, though bound, could not be relaxed.
        energy_fcc_ev_per_atom: energy of the relaxed fcc crystal; None if not compared, not bound or not relaxed.
        energy_bcc_ev_per_atom: the same for bcc.
        energy_hcp_ev_per_atom: the same for hcp.
        evaluations: engine evaluations made.
    """

    structure: str
    a_angstrom: float
    c_angstrom: float | None
    energy_ev_per_atom: float
    residual_stress_gpa: float
    cutoff_angstrom: float
    ground_state: str = ""
    energy_fcc_ev_per_atom: float | None = None
    energy_bcc_ev_per_atom: float | None = None
    energy_hcp_ev_per_atom: float | None = None
    evaluations: int = 0

    @property
    def crystal(self) -> Crystal:
        """The relaxed crystal."""
        return crystal(self.structure, self.a_angstrom, self.c_angstrom)


@record
@dataclass(frozen=True, kw_only=True)
class ElasticResult:
    """Elastic constants at zero stress.

    Attributes:
        tensor_gpa: (6, 6) elastic tensor with the symmetry of the crystal, Voigt order xx, yy, zz, yz, xz, xy, in
            the cubic axes, or for hcp with x along a1 and z along c.
        raw_tensor_gpa: (6, 6) as computed, C[i, j] = dσ_i/dε_j, before symmetry is imposed.
        c11_gpa: constant C11.
        c12_gpa: constant C12.
        c44_gpa: constant C44.
        c13_gpa: constant C13 (hcp), None for cubic structures.
        c33_gpa: constant C33 (hcp), None for cubic structures.
        fit_residual_gpa: largest difference between the raw and the symmetric tensor.
        strain_dependence: largest relative change of a constant over the strain amplitudes.
        stability_eigenvalue_gpa: lowest eigenvalue of the tensor; positive means Born-stable.
        born_stable: whether the crystal is stable against every homogeneous strain.
        strain_amplitudes: (S,) strain amplitudes used.
        constants_by_amplitude_gpa: (S, K) independent constants in the order C11, C12, C44(, C13, C33).
        bulk_modulus_gpa: Voigt average.
        shear_modulus_gpa: Voigt average.
        flags: remarks, e.g. ``strain-dependent elastic constants``.
        evaluations: engine evaluations made.
    """

    tensor_gpa: FloatArray
    raw_tensor_gpa: FloatArray
    c11_gpa: float
    c12_gpa: float
    c44_gpa: float
    c13_gpa: float | None
    c33_gpa: float | None
    fit_residual_gpa: float
    strain_dependence: float
    stability_eigenvalue_gpa: float
    born_stable: bool
    strain_amplitudes: FloatArray
    constants_by_amplitude_gpa: FloatArray
    bulk_modulus_gpa: float
    shear_modulus_gpa: float
    flags: tuple[str, ...] = ()
    evaluations: int = 0


@record
@dataclass(frozen=True, kw_only=True)
class GammaSurfaceResult:
    """A γ surface in the frame of its slip system (x along the Burgers vector, y = z × x).

    Attributes:
        slip_system: name of the slip system.
        label: its indices.
        cut: which plane was cut, ``wide`` or ``narrow``.
        period_angstrom: (2,) edges of the rectangular period along x and y.
        x_angstrom: (nx,) displacements along x, from 0 to the period, both included.
        y_angstrom: (ny,) displacements along y, both edges included.
        gamma_mj_m2: (nx, ny) energies, displacement of the upper half crystal against the lower.
        opening_angstrom: (nx, ny) change of the distance between the two planes next to the cut.
        gamma_isf_mj_m2: intrinsic stacking fault (fcc {111}, hcp (0001)), None where the plane has none.
        gamma_usf_mj_m2: maximum along the primary path: 0 → intrinsic fault where there is one, else along the
            Burgers vector.
        gamma_asf_mj_m2: aligned fault, atoms on top of atoms (fcc {111}, hcp (0001)), None elsewhere.
        gamma_max_mj_m2: largest value of the grid.
        path_vector_angstrom: (2,) end of the primary path.
        path_fraction: (P,) positions along the primary path, 0 to 1.
        path_mj_m2: (P,) energies there, computed (not interpolated).
        fourier_wavevectors_per_angstrom: (S, 2) one reciprocal vector of each star.
        fourier_cosine_mj_m2: (S,) coefficients of the stars' cosines.
        fourier_sine_mj_m2: (S,) coefficients of the stars' sines.
        fourier_symmetry: (M, 2, 2) operations over which a star is averaged.
        fourier_residual_mj_m2: root mean square error of the representation on the grid.
        fourier_residual_low_mj_m2: the same over the points below 0.7 of the maximum, where dislocations live.
        symmetry_error_mj_m2: largest difference found at the random checks of the assumed symmetry.
        residual_force_ev_per_angstrom: largest force along the normal that is left at any point.
        unique_points: grid points that were computed.
        flags: remarks, e.g. ``cell thinner than the range of the potential``: surfaces or images act on the fault.
        evaluations: engine evaluations made.
    """

    slip_system: str
    label: str
    cut: str
    period_angstrom: FloatArray
    x_angstrom: FloatArray
    y_angstrom: FloatArray
    gamma_mj_m2: FloatArray
    opening_angstrom: FloatArray
    gamma_isf_mj_m2: float | None
    gamma_usf_mj_m2: float
    gamma_asf_mj_m2: float | None
    gamma_max_mj_m2: float
    path_vector_angstrom: FloatArray
    path_fraction: FloatArray
    path_mj_m2: FloatArray
    fourier_wavevectors_per_angstrom: FloatArray
    fourier_cosine_mj_m2: FloatArray
    fourier_sine_mj_m2: FloatArray
    fourier_symmetry: FloatArray
    fourier_residual_mj_m2: float
    fourier_residual_low_mj_m2: float
    symmetry_error_mj_m2: float
    residual_force_ev_per_angstrom: float
    unique_points: int
    flags: tuple[str, ...] = ()
    evaluations: int = 0


@record
@dataclass(frozen=True, kw_only=True)
class CoreJump:
    """A jump of the core under load to another equilibrium before it glides: a barrier passed, or a transformation.

    Attributes:
        stable_mpa: highest stress, in magnitude, at which the core was found before the jump.
        jumped_mpa: stress, in magnitude, at which it was found after it.
        from_angstrom: core position before, relative to the unloaded core.
        to_angstrom: core position after.
        width_before_angstrom: width of the core before.
        width_after_angstrom: width after.
        polarity_before: polarity of a bcc screw core before; None for other cores.
        polarity_after: polarity after.
    """

    stable_mpa: float
    jumped_mpa: float
    from_angstrom: float
    to_angstrom: float
    width_before_angstrom: float
    width_after_angstrom: float
    polarity_before: float | None = None
    polarity_after: float | None = None


@record
@dataclass(frozen=True, kw_only=True)
class LoadingCurve:
    """States found while loading a dislocation in one direction, in the order of the search.

    Attributes:
        direction: ``forward`` (positive resolved shear stress) or ``reverse``.
        peierls_mpa: best estimate between the highest stable and the lowest unstable stress; see ``estimate``.
        stable_mpa: highest stress at which the core stays, in magnitude.
        unstable_mpa: lowest stress at which it glides, in magnitude.
        stress_mpa: (K,) applied resolved shear stress of each step, signed.
        outcome: (K,) ``stable``, ``glides`` or ``unconverged`` for each step; ``void`` where the core glided from an
            equilibrium that it was later found to leave at a lower stress, by a jump to one that lasts longer.
        core_position_angstrom: (K,) core position relative to the unloaded core.
        shear_strain: (K,) displacement of the rigid blocks against each other over the cell height, relative to
            the unloaded cell.
        largest_force_ev_per_angstrom: (K,) largest residual force component.
        energy_ev: (K,) potential energy relative to the unloaded cell, the work of the load not included.
        evaluations: (K,) engine evaluations of each step.
        jumps: number of steps at which the core jumped by less than a Burgers vector and found a new equilibrium.
        before_jump_mpa: highest stress, in magnitude, that was stable before the first jump; None without jumps.
        estimate: how the value was found inside the interval: ``fold``, where the branch of the last equilibria ends
            (`glideflow.properties.fold.fold_stress`), or ``middle``, of the interval.
        core_height_angstrom: (K,) height of the core relative to the unloaded one; None in earlier records.
        core_width_angstrom: (K,) width of the core; None in earlier records.
        core_jumps: the jumps, in the order in which they were met.
        glide_angle_deg: angle between a screw's way into the next valley and the slip plane, from -180° to 180°,
            counted from the direction in which it should go; None for edges.
    """

    direction: str
    peierls_mpa: float
    stable_mpa: float
    unstable_mpa: float
    stress_mpa: FloatArray
    outcome: tuple[str, ...]
    core_position_angstrom: FloatArray
    shear_strain: FloatArray
    largest_force_ev_per_angstrom: FloatArray
    energy_ev: FloatArray
    evaluations: FloatArray
    jumps: int
    before_jump_mpa: float | None = None
    estimate: str = "middle"
    core_height_angstrom: FloatArray | None = None
    core_width_angstrom: FloatArray | None = None
    core_jumps: tuple[CoreJump, ...] = ()
    glide_angle_deg: float | None = None

    @property
    def record_name(self) -> str:
        """Name among the curves of a result: the direction."""
        return self.direction


@record
@dataclass(frozen=True, kw_only=True)
class CoreResult:
    """Disregistry across the glide plane, δ(x) = u_upper - u_lower along the Burgers vector, from 0 to b.

    Attributes:
        x_angstrom: (n,) positions along the glide direction.
        disregistry_angstrom: (n,) disregistry.
        position_angstrom: core position.
        width_angstrom: distance between δ = b/4 and δ = 3b/4: twice the half width of an arctan core, close to the
            separation of the partials of a dissociated one.
        height_angstrom: how far the core lies above the plane on which it was built: a screw may cross-slip.
        transverse_angstrom: (n,) disregistry across the Burgers vector in the plane (the screw component of an edge,
            the edge component of a screw), zero half a period away; None in records of earlier versions.
        polarity: of a compact bcc screw core, 0 (not degenerate) to 1 (degenerate, fully polarised); see
            `glideflow.properties.core_polarity.polarity`. None for other cores.
    """

    x_angstrom: FloatArray
    disregistry_angstrom: FloatArray
    position_angstrom: float
    width_angstrom: float
    height_angstrom: float = 0.0
    transverse_angstrom: FloatArray | None = None
    polarity: float | None = None


@record
@dataclass(frozen=True, kw_only=True)
class PeierlsStressResult:
    """Peierls stress of a straight dislocation in a finite cell.

    The value is the largest resolved shear stress at which the core still has an equilibrium within one Burgers
    vector (a screw: within one Peierls valley) of where it started: the lower of the loading directions.

    Attributes:
        slip_system: name of the slip system.
        label: its indices.
        character: dislocation character, ``edge`` or ``screw``.
        protocol: ``converged``.
        cut: which plane was cut, ``wide`` or ``narrow``.
        peierls_mpa: Peierls stress; an upper bound if ``is_upper_bound``.
        peierls_error_mpa: error from the search, √(bracket² + history² + resolution²); what the finite cell adds
            is not in it.
        is_upper_bound: whether the core glides at the smallest stress that the method resolves.
        bracket_mpa: half of the interval between stable and unstable.
        history_mpa: what depends on the way of loading: the difference between the directions where the crystal
            makes none, or the stress between a jump of the core to another equilibrium close below the value and the
            value itself.
        resolution_mpa: stress whose driving force on one line period equals the force tolerance.
        force_tolerance_ev_per_angstrom: largest force component of what counts as an equilibrium; larger than asked
            for where kinks of the potential keep the unloaded core from it (flagged).
        atoms: number of atoms.
        burgers_vectors: length of the upper half crystal in Burgers vectors, as asked for: a screw cell has the
            nearest whole number of periods.
        length_angstrom: cell length along the glide direction.
        height_angstrom: distance between lowest and highest plane.
        line_angstrom: cell length along the line.
        burgers_vector_angstrom: length of the Burgers vector.
        starts_energy_ev: (S,) energies of the unloaded cores from the different starts, relative to the lowest.
        core_unloaded: core at zero stress.
        core_at_peak: core at the highest stable stress of the decisive direction.
        curves: one loading curve per direction.
        flags: remarks, e.g. ``upper bound``, ``unconverged steps``, or ``easier in one direction`` where the crystal
            distinguishes the directions (see the curves for both values).
        evaluations: engine evaluations made.
        starts_width_angstrom: (S,) widths of the unloaded cores from the different starts; None in earlier records.
        valley_angstrom: distance between Peierls valleys along the glide direction; None in earlier records.
        partials_angstrom: (2,) positions of the partials of the unloaded core, fitted to its disregistry
            (`glideflow.properties.core_position.dissociation`); None if it is not split, or in earlier records.
        partial_half_width_angstrom: half width of each partial; None as above.
        dissociation_angstrom: distance between the partials; None as above.
        glide_plane: indices of the plane on which the core leaves; a screw may prefer another one than the slip plane.
    """

    slip_system: str
    label: str
    character: str
    protocol: str
    cut: str
    peierls_mpa: float
    peierls_error_mpa: float
    is_upper_bound: bool
    bracket_mpa: float
    history_mpa: float
    resolution_mpa: float
    force_tolerance_ev_per_angstrom: float
    atoms: int
    burgers_vectors: int
    length_angstrom: float
    height_angstrom: float
    line_angstrom: float
    burgers_vector_angstrom: float
    starts_energy_ev: FloatArray
    core_unloaded: CoreResult
    core_at_peak: CoreResult
    curves: tuple[LoadingCurve, ...]
    flags: tuple[str, ...] = ()
    evaluations: int = 0
    starts_width_angstrom: FloatArray | None = None
    valley_angstrom: float | None = None
    partials_angstrom: FloatArray | None = None
    partial_half_width_angstrom: float | None = None
    dissociation_angstrom: float | None = None
    glide_plane: str = ""
