"""What `glideflow predict` reads: elastic constants and what is known of a γ surface, from wherever they come."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from glideflow.config.base import Section

_LARGEST_GAMMA_MJ_M2 = 1e5
Fraction = Annotated[float, Field(ge=-2, le=2)]
_LARGEST_DISPLACEMENT_ANGSTROM = 100.0
Displacement = Annotated[float, Field(ge=-_LARGEST_DISPLACEMENT_ANGSTROM, le=_LARGEST_DISPLACEMENT_ANGSTROM)]
Gamma = Annotated[float, Field(ge=-_LARGEST_GAMMA_MJ_M2, le=_LARGEST_GAMMA_MJ_M2)]
Stiffness = Annotated[float, Field(ge=-2000, le=2000)]


class LatticeInput(Section):
    """Lattice constants in Å."""

    a_angstrom: float = Field(gt=1, le=20)
    """Lattice constant a."""
    c_angstrom: float | None = Field(default=None, gt=1, le=30)
    """Lattice constant c, of hcp only."""


class ElasticInput(Section):
    """Elastic constants in GPa in the axes of the crystal, hcp with the axis along z, or a file that holds them."""

    c11_gpa: Stiffness | None = None
    """C₁₁."""
    c12_gpa: Stiffness | None = None
    """C₁₂."""
    c44_gpa: Stiffness | None = None
    """C₄₄."""
    c13_gpa: Stiffness | None = None
    """C₁₃, of hcp only."""
    c33_gpa: Stiffness | None = None
    """C₃₃, of hcp only."""
    tensor_gpa: tuple[tuple[Stiffness, ...], ...] | None = Field(default=None, min_length=6, max_length=6)
    """Instead: the whole tensor (6 × 6) in Voigt order xx, yy, zz, yz, xz, xy."""
    outcar: Path | None = None
    """Instead: an OUTCAR of VASP with elastic moduli (IBRION = 5 or 6, ISIF ≥ 3)."""


class GammaPoint(Section):
    """γ in mJ/m² at one displacement of the upper half crystal against the lower."""

    fraction: tuple[Fraction, Fraction] | None = None
    """Displacement in periods of the slip plane, along the Burgers vector and across it."""
    displacement_angstrom: tuple[Displacement, Displacement] | None = None
    """Instead: in Å, along the Burgers vector and across it."""
    gamma_mj_m2: float | None = Field(default=None, ge=-_LARGEST_GAMMA_MJ_M2, le=_LARGEST_GAMMA_MJ_M2)
    """γ there."""
    output: Path | None = None
    """Instead: the output of a calculation that ASE reads (vasprun.xml, OUTCAR, GPAW's log, extended XYZ …), or its
    folder."""
    error_mj_m2: float | None = Field(default=None, gt=0, le=_LARGEST_GAMMA_MJ_M2)
    """Its standard error; `gamma.error_mj_m2` if not given."""


class GammaLine(Section):
    """γ in mJ/m² at equal distances on a straight line from the perfect crystal, both ends included."""

    end_fraction: tuple[Fraction, Fraction]
    """End of the line in periods of the slip plane, e.g. [1, 0] for the Burgers vector."""
    gamma_mj_m2: tuple[Gamma, ...] = Field(min_length=3, max_length=1000)
    """The values."""


class GammaGrid(Section):
    """γ in mJ/m² on a regular grid over the rectangular period of the slip plane."""

    gamma_mj_m2: tuple[tuple[Gamma, ...], ...] | None = Field(default=None, min_length=3, max_length=200)
    """Rows along the Burgers vector, columns across it."""
    file: Path | None = None
    """Instead: a text file of such rows, separated by blanks or commas."""
    repeats_edges: bool = False
    """Whether the last row and column repeat the first ones."""


class GammaInput(Section):
    """What is known of a γ surface, in mJ/m². Any part will do; what the rest may be is estimated, with its error.

    Planes: {111} of fcc, {110} of bcc, and of hcp {10-10} cut between the planes that are far apart.
    """

    isf_mj_m2: float | None = Field(default=None, ge=-_LARGEST_GAMMA_MJ_M2, le=_LARGEST_GAMMA_MJ_M2)
    """Intrinsic stacking fault of fcc {111}."""
    usf_mj_m2: float | None = Field(default=None, ge=0, le=_LARGEST_GAMMA_MJ_M2)
    """Unstable fault: the maximum on the way to the intrinsic fault (fcc), or along the Burgers vector (bcc, hcp)."""
    asf_mj_m2: float | None = Field(default=None, ge=0, le=_LARGEST_GAMMA_MJ_M2)
    """Aligned fault of fcc {111}, atoms on top of atoms."""
    points: tuple[GammaPoint, ...] = Field(default=(), max_length=10_000)
    """Values at single displacements."""
    lines: tuple[GammaLine, ...] = Field(default=(), max_length=100)
    """Values on lines."""
    grid: GammaGrid | None = None
    """Values on a grid."""
    reference_output: Path | None = None
    """Output, or its folder, of the same cell without a fault, for points that are outputs."""
    faults_per_cell: int = Field(default=1, ge=1, le=2)
    """Equal faults in the cell of such a calculation."""
    error_mj_m2: float = Field(default=1.0, gt=0, le=_LARGEST_GAMMA_MJ_M2)
    """Standard error of all values that do not state their own."""


class StrengthInputs(Section):
    """One crystal whose Peierls stress is to be predicted."""

    name: str = Field(default="", max_length=200)
    """What it is, for tables; the name of the file if not given."""
    element: str = Field(default="", max_length=3)
    """Chemical symbol. The models do not look at it."""
    source: str = Field(default="", max_length=2000)
    """Where the numbers come from, e.g. a functional and a citation; repeated with the prediction."""
    structure: Literal["fcc", "bcc", "hcp"]
    """Crystal structure."""
    lattice: LatticeInput
    """Lattice constants."""
    elastic: ElasticInput
    """Elastic constants."""
    gamma: GammaInput
    """γ surface."""
