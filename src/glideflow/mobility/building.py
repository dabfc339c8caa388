"""Cells of a real metal: from the crystal and elastic constants of a potential, and the settings of a run."""

from __future__ import annotations

from dataclasses import dataclass

from glideflow.config.mobility import MobilityCellSettings
from glideflow.crystals.lattices import FloatArray
from glideflow.errors import ConfigurationError
from glideflow.mobility.blocks import BccMetal
from glideflow.mobility.cells import DislocationCell
from glideflow.mobility.dipoles import dipole
from glideflow.mobility.elasticity import IsotropicElasticity, isotropic_equivalent, voigt_average
from glideflow.mobility.loops import shear_loop
from glideflow.mobility.orientations import LineOrientation, nearest_line
from glideflow.mobility.passing import passing_stress_mpa, refuse_small, resolved_row
from glideflow.mobility.scenarios import Scenario
from glideflow.properties.results import ElasticResult, LatticeResult

EdgesNm = tuple[float, float, float]


@dataclass(frozen=True)
class CellBuilder:
    """Builds cells of one metal.

    Attributes:
        metal: the metal.
        tensor_gpa: (6, 6) elastic constants in the cubic axes, Voigt order.
        settings: sizes, tolerances, images.
    """

    metal: BccMetal
    tensor_gpa: FloatArray
    settings: MobilityCellSettings

    @property
    def isotropic(self) -> IsotropicElasticity:
        """The isotropic medium in which to compute stresses of the lines; see `isotropic_equivalent`."""
        return isotropic_equivalent(self.tensor_gpa)

    def orientation(self, angle_deg: float) -> LineOrientation:
        """The line of an angle.

        Raises:
            SlipSystemError: no line is close enough with a period that is short enough.
        """
        longest = 10 * self.settings.longest_period_nm / self.metal.lattice_constant_angstrom
        return nearest_line(angle_deg, longest_period=longest, tolerance_deg=self.settings.angle_tolerance_deg)

    def dipole(
        self, angle_deg: float, size_nm: EdgesNm | None = None, stress_mpa: float | None = None
    ) -> DislocationCell:
        """A dipole of the line at an angle.

        Args:
            angle_deg: angle between Burgers vector and line.
            size_nm: edges along x, y and z; None takes those of the settings.
            stress_mpa: resolved shear stress under which the lines have to pass each other; None does not ask.

        Raises:
            SlipSystemError: there is no such line.
            ConfigurationError: the lines would not pass each other at that stress; says which size would do.
        """
        orientation, size = self.orientation(angle_deg), size_nm or self.settings.size_nm
        if stress_mpa is not None:
            refuse_small(self.metal, orientation, size, self.tensor_gpa, stress_mpa)
        return dipole(self.metal, orientation, size, images=self.settings.images)

    def loop(
        self, radius_nm: float | None = None, size_nm: EdgesNm | None = None, stress_mpa: float = 0.0
    ) -> DislocationCell:
        """A shear loop in a cell with the elastic strain of a resolved shear stress.

        Args:
            radius_nm: radius; None takes that of the settings.
            size_nm: edges along x, y and z; None takes those of the settings.
            stress_mpa: the stress. A loop grows under a positive one that is large enough, and shrinks otherwise.

        Raises:
            ConfigurationError: the loop does not fit into the cell.
        """
        return shear_loop(
            self.metal,
            self.settings.loop_radius_nm if radius_nm is None else radius_nm,
            size_nm or self.settings.loop_size_nm,
            tensor_gpa=self.tensor_gpa,
            stress_mpa=stress_mpa,
            sides=self.settings.loop_sides,
            images=self.settings.images,
        )

    def passing_mpa(self, cell: DislocationCell, *, anisotropic: bool = True) -> float:
        """Largest resolved shear stress that the lines of a dipole exert on each other, by the one or other theory."""
        orientation = LineOrientation(*(int(index) for index in cell.miller_frame[1, :2]))
        edges = orientation.periods * cell.periods * self.metal.lattice_constant_angstrom
        row = resolved_row(self.metal, orientation, self.tensor_gpa if anisotropic else self.isotropic)
        return passing_stress_mpa(row, float(edges[0]), float(edges[2]) / 2)


def scenario_cell(builder: CellBuilder, scenario: Scenario) -> DislocationCell:
    """The cell of a scenario, in the size of the settings.

    Args:
        builder: what builds it.
        scenario: which lines, and the stress under which they have to glide.

    Raises:
        SlipSystemError: there is no line at such an angle.
        ConfigurationError: the lines would stop each other, or the loop does not fit into the cell.
    """
    if scenario.kind == "loop":
        return builder.loop(scenario.size, stress_mpa=scenario.stress_mpa)
    return builder.dipole(scenario.size, stress_mpa=scenario.stress_mpa or None)


def cell_builder(
    element: str, lattice: LatticeResult, elastic: ElasticResult, settings: MobilityCellSettings
) -> CellBuilder:
    """A builder for the crystal that a potential describes.

    Args:
        element: chemical symbol.
        lattice: its relaxed crystal.
        elastic: its elastic constants.
        settings: section ``mobility.cells``.

    Raises:
        ConfigurationError: the crystal is not bcc.
    """
    if lattice.structure != "bcc":
        raise ConfigurationError(
            f"cells with dislocations were asked for in {lattice.structure} {element}",
            expected="a bcc metal: the dislocations are those of ½<111>{110}",
            next_step="choose a potential of a bcc metal",
        )
    ratio = voigt_average(elastic.tensor_gpa).poisson_ratio
    return CellBuilder(BccMetal(element, lattice.a_angstrom, ratio), elastic.tensor_gpa, settings)
