"""How to cite a potential, and the collection that it was taken from."""

from __future__ import annotations

from dataclasses import dataclass

from glideflow.potentials.record import Potential

_LAMMPS = (
    "LAMMPS: A.P. Thompson, H.M. Aktulga, R. Berger, D.S. Bolintineanu, W.M. Brown, P.S. Crozier, P.J. in 't Veld, "
    "A. Kohlmeyer, S.G. Moore, T.D. Nguyen, R. Shan, M.J. Stevens, J. Tranchida, C. Trott and S.J. Plimpton, "
    "Comput. Phys. Commun. 271, 108171 (2022), doi 10.1016/j.cpc.2021.108171"
)
_OPENKIM = (
    "OpenKIM: E.B. Tadmor, R.S. Elliott, J.P. Sethna, R.E. Miller and C.A. Becker, JOM 63, 17 (2011), "
    "doi 10.1007/s11837-011-0102-6"
)
_NIST = (
    "NIST Interatomic Potentials Repository: C.A. Becker, F. Tavazza, Z.T. Trautt and R.A. Buarque de Macedo, "
    "Curr. Opin. Solid State Mater. Sci. 17, 277 (2013), doi 10.1016/j.cossms.2013.10.001; "
    "L.M. Hale, Z.T. Trautt and C.A. Becker, Modelling Simul. Mater. Sci. Eng. 26, 055003 (2018), "
    "doi 10.1088/1361-651X/aabc05"
)


@dataclass(frozen=True, kw_only=True)
class Citation:
    """What to cite for results of one potential.

    Attributes:
        id: the potential.
        text: its publication; says so if none is known.
        doi: digital object identifier of the publication, or empty.
        licence: terms of the files; says so if none are stated.
        source: where the files come from.
        also: what the source and the evaluating program ask to cite.
    """

    id: str
    text: str
    doi: str
    licence: str
    source: str
    also: tuple[str, ...]


def citation_of(potential: Potential) -> Citation:
    """How to cite a potential."""
    source = potential.source.lower()
    also = []
    if "openkim" in source:
        also.append(_OPENKIM)
    if "nist" in source or "potentials-library" in source:
        also.append(_NIST)
    if potential.engine == "lammps":
        also.append(_LAMMPS)
    return Citation(
        id=potential.id,
        text=potential.citation or "no publication is stated by its source",
        doi=potential.doi,
        licence=potential.licence or "not stated by its source",
        source=potential.source,
        also=tuple(also),
    )


def citation_text(citation: Citation) -> str:
    """A citation as lines of text for a terminal."""
    lines = [citation.text]
    if citation.doi:
        lines.append(f"https://doi.org/{citation.doi}")
    lines += [f"files: {citation.source}", f"licence: {citation.licence}"]
    if citation.also:
        lines += ["please cite as well:", *(f"  {reference}" for reference in citation.also)]
    return "\n".join(lines)
