"""What small outputs, in the layouts of VASP and GPAW, say of their runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from glideflow.errors import ConfigurationError
from glideflow.transfer.calculation_outputs import GPAW, OTHER, VASP, finished_output, refuse_other_settings

CYCLE = "<scstep><energy><i name='e_0_energy'>-3.7</i></energy></scstep>"
FORCES = "<varray name='forces'><v>0 0 0.004</v></varray>"


def vasprun(
    path: Path, *, cycles: int = 5, steps: int = 1, forces: str = FORCES, cut: int | None = None, **tags: object
) -> Path:
    """A vasprun.xml of some ionic steps with so many electronic cycles in the last one, cut off after some signs."""
    values: dict[str, object] = {"ENMAX": "400.00000000", "ISPIN": 1, "GGA": "PE", "METAGGA": "--", "ISMEAR": 1}
    values |= {"SIGMA": "0.20000000", "NELM": 60, "NSW": 0, "IBRION": -1, **tags}
    parameters = "".join(f"<i name='{name}'>  {value}</i>" for name, value in values.items() if name != "divisions")
    step = f"<calculation>{CYCLE * 3}{FORCES}</calculation>"
    text = (
        "<modeling><kpoints><generation param='Gamma'>"
        f"<v type='int' name='divisions'>  {tags.get('divisions', '12 12 1')} </v></generation></kpoints>"
        f"<parameters><separator name='electronic'>{parameters}</separator></parameters>"
        "<atominfo><array name='atomtypes'><set><rc><c>1</c><c>Cu</c><c>63.5</c><c>11.0</c>"
        "<c>  PAW_PBE Cu 22Jun2005 </c></rc></set></array></atominfo>"
        f"{step * (steps - 1)}<calculation>{CYCLE * cycles}{forces}</calculation></modeling>"
    )
    path.write_text(text[:cut], encoding="utf-8")
    return path


OUTCAR = """ vasp.6.3.2 27Jun22
 POTCAR:    PAW_PBE Cu 22Jun2005
 generate k-points for:   12   12    1
   ISPIN  =      1    spin polarized calculation?
   ENCUT  =  400.0 eV  29.40 Ry    5.42 a.u.
   NELM   =     60;   NELMIN=  2; NELMDL= -5     # of ELM steps
   NSW    =     {nsw}    number of steps for IOM
   IBRION =     {ibrion}    ionic relax: 0-MD 1-quasi-New 2-CG
   METAGGA=     --    (in-plane) meta-GGA
   GGA     =    PE    GGA type
   ISMEAR =     1;   SIGMA  =   0.20  broadening in eV -4-tet -1-fermi 0-gaus
------------------------ aborting loop {loop} ----------------------------------------
 POSITION                                       TOTAL-FORCE (eV/Angst)
 {relaxed}
"""
REACHED, NOT_REACHED = "because EDIFF is reached", "EDIFF was not reached (unconverged)"
RELAXED = "reached required accuracy - stopping structural energy minimisation"
END = " General timing and accounting\n"


def outcar(path: Path, *, loop: str = REACHED, relaxed: str = "", nsw: int = 0, end: str = END) -> Path:
    text = OUTCAR.format(loop=loop, relaxed=relaxed, nsw=nsw, ibrion=2 if nsw else -1)
    path.write_text(text + end, encoding="utf-8")
    return path


def refused(path: Path) -> str:
    with pytest.raises(ConfigurationError) as caught:
        finished_output(path)
    assert str(path) in str(caught.value)
    assert "expected: " in str(caught.value)
    assert caught.value.next_step
    return str(caught.value)


def test_finished_runs_of_both_files_state_the_same_settings(tmp_path: Path) -> None:
    xml = finished_output(vasprun(tmp_path / "vasprun.xml"))
    text = finished_output(outcar(tmp_path / "OUTCAR"))
    assert xml.code == text.code == VASP
    assert (xml.electrons_converged, text.electrons_converged) == (True, True)
    assert xml.warnings == text.warnings == ()
    assert xml.settings == {
        "ENCUT": "400",
        "ISPIN": "1",
        "GGA": "PE",
        "METAGGA": "none",
        "ISMEAR": "1",
        "SIGMA": "0.2",
        "POTCAR": "PAW_PBE Cu 22Jun2005",
        "k points": "12 12 1",
    }
    assert text.settings == xml.settings
    refuse_other_settings(xml, text)


def test_a_run_that_was_cut_off_is_refused(tmp_path: Path) -> None:
    assert "was cut off" in refused(vasprun(tmp_path / "vasprun.xml", cut=-40))
    assert "was cut off" in refused(outcar(tmp_path / "OUTCAR", end=""))


def test_electrons_that_have_not_converged_are_refused(tmp_path: Path) -> None:
    """As many cycles as are allowed, as pymatgen judges it."""
    assert "did not converge" in refused(vasprun(tmp_path / "vasprun.xml", cycles=60))
    assert "did not converge" in refused(outcar(tmp_path / "OUTCAR", loop=NOT_REACHED))


def test_a_relaxation_has_to_come_to_its_criterion(tmp_path: Path) -> None:
    file = tmp_path / "vasprun.xml"
    assert finished_output(vasprun(file, steps=3, NSW=20, IBRION=2)).ions_converged
    assert "used up its NSW steps" in refused(vasprun(file, steps=4, NSW=4, IBRION=2))
    assert "holds no forces" in refused(vasprun(file, steps=3, NSW=20, IBRION=2, forces=""))
    assert finished_output(vasprun(file, forces="")).electrons_converged, "a single point needs none"
    assert finished_output(outcar(tmp_path / "OUTCAR", nsw=20, relaxed=RELAXED)).ions_converged
    assert "used up its NSW steps" in refused(outcar(tmp_path / "OUTCAR", nsw=20))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"ENMAX": "500.0"}, "ENCUT 500 instead of 400"),
        ({"ISPIN": 2}, "ISPIN 2 instead of 1"),
        ({"GGA": "PS"}, "GGA PS instead of PE"),
        ({"METAGGA": "R2SCAN"}, "METAGGA R2SCAN instead of none"),
        ({"SIGMA": "0.05"}, "SIGMA 0.05 instead of 0.2"),
        ({"divisions": "18 18 1"}, "k points 18 18 1 instead of 12 12 1"),
    ],
)
def test_other_settings_than_without_the_fault_are_refused(tmp_path: Path, change: dict[str, str], said: str) -> None:
    perfect = finished_output(vasprun(tmp_path / "vasprun.xml"))
    (tmp_path / "fault").mkdir()
    fault = finished_output(vasprun(tmp_path / "fault" / "vasprun.xml", **change))  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError) as caught:
        refuse_other_settings(fault, perfect)
    assert said in str(caught.value)
    assert "expected: the same code" in str(caught.value)


LOG = """
  ___ ___ ___ _ _ _
 |   |   |_  | | | |
Input parameters:
  kpts: [12 12 2]
  mode: {{ecut: 400.0, name: pw}}
  xc: PBE

{end}
"""


def gpaw_log(path: Path, end: str, **changes: str) -> Path:
    text = LOG.format(end=end)
    for old, new in changes.items():
        text = text.replace(old, new)
    path.write_text(text, encoding="utf-8")
    return path


def test_logs_of_gpaw(tmp_path: Path) -> None:
    found = finished_output(gpaw_log(tmp_path / "perfect.txt", "Converged after 15 iterations."))
    assert (found.code, found.electrons_converged, found.warnings) == (GPAW, True, ())
    assert found.settings == {"k points": "[12 12 2]", "mode": "{ecut: 400.0, name: pw}", "xc": "PBE"}
    assert "did not converge" in refused(gpaw_log(tmp_path / "failed.txt", "Did not converge!"))
    other = finished_output(gpaw_log(tmp_path / "other.txt", "Converged in 12 steps", PBE="LDA"))
    with pytest.raises(ConfigurationError, match="xc LDA instead of PBE"):
        refuse_other_settings(other, found)
    with pytest.raises(ConfigurationError, match="GPAW instead of VASP"):
        refuse_other_settings(found, finished_output(vasprun(tmp_path / "vasprun.xml")))


def test_what_does_not_say_whether_it_converged_is_used_with_a_warning(tmp_path: Path) -> None:
    (tmp_path / "fault.xyz").write_text("1\nenergy=-3.7\nCu 0 0 0\n")
    found = finished_output(tmp_path / "fault.xyz")
    assert found.code == OTHER
    assert found.warnings == (f"fault.xyz in {tmp_path.name} does not say whether it converged",)
    assert len(finished_output(gpaw_log(tmp_path / "silent.txt", "")).warnings) == 1
    refuse_other_settings(found, finished_output(vasprun(tmp_path / "vasprun.xml")))
