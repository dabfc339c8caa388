from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from pydantic import ValidationError

from glideflow.config.slip_systems import SlipSystemSettings
from glideflow.config.strength_inputs import StrengthInputs
from glideflow.errors import ConfigurationError
from glideflow.transfer.dataset import TransferDataset
from glideflow.transfer.gamma_prior import GammaPrior, gamma_prior
from glideflow.transfer.user_inputs import elastic_result, gamma_result, read_inputs, user_crystal

COPPER: dict[str, Any] = {
    "structure": "fcc",
    "lattice": {"a_angstrom": 3.615},
    "elastic": {"c11_gpa": 169.9, "c12_gpa": 122.6, "c44_gpa": 76.2},
    "gamma": {"isf_mj_m2": 44.4, "usf_mj_m2": 162.0},
}
MAGNESIUM: dict[str, Any] = {
    "structure": "hcp",
    "lattice": {"a_angstrom": 3.2, "c_angstrom": 5.2},
    "elastic": {"c11_gpa": 63, "c12_gpa": 26, "c44_gpa": 18, "c13_gpa": 21, "c33_gpa": 65},
    "gamma": {"usf_mj_m2": 220},
}


def changed(start: dict[str, Any], **sections: Any) -> StrengthInputs:
    return StrengthInputs.model_validate({**start, **sections})


@pytest.fixture(scope="module")
def fcc(shipped: TransferDataset) -> GammaPrior:
    return _prior(shipped, "fcc")


@pytest.fixture(scope="module")
def hcp(shipped: TransferDataset) -> GammaPrior:
    return _prior(shipped, "hcp")


def _prior(shipped: TransferDataset, structure: str) -> GammaPrior:
    samples = shipped.select(np.flatnonzero(np.array(shipped.structures) == structure))
    definitions = map(SlipSystemSettings.model_validate_json, shipped.slip_system_definitions)
    return gamma_prior(samples, next(each for each in definitions if each.structure == structure))


def refused(inputs: StrengthInputs, prior: GammaPrior, folder: Path) -> str:
    with pytest.raises(ConfigurationError) as caught:
        user_crystal(inputs, prior, folder)
    assert "expected: " in str(caught.value)
    assert caught.value.next_step
    return str(caught.value)


@pytest.mark.parametrize("write", [yaml.safe_dump, json.dumps])
def test_a_description_is_yaml_or_json(fcc: GammaPrior, tmp_path: Path, write: Callable[[dict[str, Any]], str]) -> None:
    file = tmp_path / "copper.yaml"
    file.write_text(write(COPPER))
    crystal = user_crystal(read_inputs(file), fcc, tmp_path, name="copper")
    assert crystal.name == "copper"
    assert crystal.elastic.tensor_gpa[3, 3] == pytest.approx(76.2)
    gamma = gamma_result(crystal, crystal.gamma)
    assert gamma.gamma_isf_mj_m2 == pytest.approx(44.4, abs=0.5)
    assert gamma.gamma_usf_mj_m2 == pytest.approx(162, rel=0.02)
    assert gamma.gamma_asf_mj_m2 is not None
    assert gamma.gamma_asf_mj_m2 > 3 * 162
    assert gamma.gamma_mj_m2.shape == (31, 31)
    np.testing.assert_allclose(gamma.gamma_mj_m2[0], gamma.gamma_mj_m2[-1], atol=1e-9)
    np.testing.assert_allclose(gamma.gamma_mj_m2[0, 0], 0, atol=1e-2)


def test_the_fourier_representation_is_the_surface(hcp: GammaPrior, tmp_path: Path) -> None:
    """The waves of the record, which models of dislocations use, against the grid of the record."""
    from glideflow.properties.fourier import FourierSurface

    crystal = user_crystal(changed(MAGNESIUM), hcp, tmp_path)
    gamma = gamma_result(crystal, crystal.gamma)
    surface = FourierSurface(
        gamma.fourier_wavevectors_per_angstrom,
        gamma.fourier_cosine_mj_m2,
        gamma.fourier_sine_mj_m2,
        gamma.fourier_symmetry,
    )
    points = np.stack(np.meshgrid(gamma.x_angstrom, gamma.y_angstrom, indexing="ij"), axis=-1)
    np.testing.assert_allclose(surface(points), gamma.gamma_mj_m2, atol=1e-8 * gamma.gamma_max_mj_m2 + 1e-9)


def test_points_lines_and_grids_are_the_same_values(fcc: GammaPrior, tmp_path: Path) -> None:
    whole = user_crystal(changed(COPPER), fcc, tmp_path)
    values = gamma_result(whole, whole.gamma).gamma_mj_m2
    period = gamma_result(whole, whole.gamma).period_angstrom
    (tmp_path / "grid.csv").write_text("# mJ/m²\n" + "\n".join(", ".join(map(str, row)) for row in values) + "\n")
    points = [
        {"displacement_angstrom": [i / 30 * period[0], j / 30 * period[1]], "gamma_mj_m2": float(values[i, j])}
        for i in range(30)
        for j in range(30)
    ]
    lines = [{"end_fraction": [0, 1], "gamma_mj_m2": values[0].tolist()}]
    found = [
        user_crystal(changed(COPPER, gamma=gamma), fcc, tmp_path).gamma
        for gamma in (
            {"grid": {"file": "grid.csv", "repeats_edges": True}},
            {"grid": {"gamma_mj_m2": values[:-1, :-1].tolist()}},
            {"points": points},
        )
    ]
    place = np.array([[0.3, 0.2], [0.5, 0.5]])
    for each in found:
        np.testing.assert_allclose(each.gamma_mj_m2(place), whole.gamma.gamma_mj_m2(place), atol=1.0)
    line = user_crystal(changed(COPPER, gamma={"lines": lines}), fcc, tmp_path).gamma
    np.testing.assert_allclose(line.gamma_mj_m2(np.array([[0, 0.4]])), values[0, 12], atol=1.0)


def test_outputs_of_calculations_give_gamma(fcc: GammaPrior, tmp_path: Path) -> None:
    """Energies in files that ASE reads, one fault in a cell of 2 × 1 cells of the plane: 1 eV/Å² = 16,021.77 mJ/m²."""
    from ase import Atoms
    from ase.calculators.singlepoint import SinglePointCalculator
    from ase.io import write

    b = 3.615 / np.sqrt(2)
    for name, energy in (("perfect", -10.0), ("fault", -9.9)):
        atoms = Atoms("Cu4", positions=np.eye(4, 3) * 2, cell=np.diag([2 * b, np.sqrt(3) * b, 20]), pbc=True)
        atoms.calc = SinglePointCalculator(atoms, energy=energy)  # type: ignore[no-untyped-call]
        write(tmp_path / f"{name}.xyz", atoms, format="extxyz")
    gamma = {"reference_output": "perfect.xyz", "points": [{"fraction": [0.5, 0], "output": "fault.xyz"}]}
    found = user_crystal(changed(COPPER, gamma=gamma), fcc, tmp_path).gamma
    expected = 0.1 / (2 * np.sqrt(3) * b**2) * 16_021.77
    np.testing.assert_allclose(found.gamma_mj_m2(np.array([[0.5, 0]])), expected, rtol=5e-3)
    assert len(user_crystal(changed(COPPER, gamma=gamma), fcc, tmp_path).warnings) == 2, (
        "of convergence nothing is known"
    )
    assert "no energy in" in refused(
        changed(COPPER, gamma={**gamma, "points": [{"fraction": [0.5, 0], "output": "nothing.xyz"}]}), fcc, tmp_path
    )
    assert "reference_output is missing" in refused(changed(COPPER, gamma={"points": gamma["points"]}), fcc, tmp_path)
    strained = changed(COPPER, gamma=gamma, lattice={"a_angstrom": 3.9})
    assert "cells of the slip plane" in refused(strained, fcc, tmp_path)


VASPRUN = """<modeling>
<kpoints><varray name="kpointlist"><v>0 0 0</v></varray><varray name="weights"><v>1</v></varray></kpoints>
<atominfo><array name="atoms"><set><rc><c>Cu</c></rc></set></array></atominfo>
<structure name="initialpos"><crystal><varray name="basis"><v>{b} 0 0</v><v>0 {h} 0</v><v>0 0 20</v></varray></crystal>
<varray name="positions"><v>0 0 0</v></varray></structure>
<calculation>
<scstep><energy><i name="e_fr_energy">{e}</i><i name="e_wo_entrp">{e}</i><i name="e_0_energy">{e}</i></energy></scstep>
<structure><crystal><varray name="basis"><v>{b} 0 0</v><v>0 {h} 0</v><v>0 0 20</v></varray></crystal>
<varray name="positions"><v>0 0 0</v></varray></structure><varray name="forces"><v>0 0 0</v></varray>
<energy><i name="e_fr_energy">{e}</i><i name="e_wo_entrp">{e}</i><i name="e_0_energy">{e}</i></energy>
</calculation></modeling>
"""


def test_a_folder_of_vasp_is_as_good_as_its_output(fcc: GammaPrior, tmp_path: Path) -> None:
    """One atom in one cell of the plane, without and with 0.05 eV of fault energy."""
    b = 3.615 / np.sqrt(2)
    for name, energy in (("perfect", -3.7), ("fault", -3.65)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "vasprun.xml").write_text(VASPRUN.format(b=b, h=np.sqrt(3) * b, e=energy))
    gamma = {"reference_output": "perfect", "points": [{"fraction": [0.5, 0], "output": "fault"}]}
    found = user_crystal(changed(COPPER, gamma=gamma), fcc, tmp_path).gamma
    expected = 0.05 / (np.sqrt(3) * b**2) * 16_021.77
    np.testing.assert_allclose(found.gamma_mj_m2(np.array([[0.5, 0]])), expected, rtol=5e-3)
    file = tmp_path / "fault" / "vasprun.xml"
    file.write_text(file.read_text()[:-20])
    assert "was cut off" in refused(changed(COPPER, gamma=gamma), fcc, tmp_path)
    file.unlink()
    assert "is a folder without vasprun.xml or OUTCAR" in refused(changed(COPPER, gamma=gamma), fcc, tmp_path)


OUTCAR = """
 TOTAL ELASTIC MODULI (kBar)
 Direction    XX          YY          ZZ          XY          YZ          ZX
 --------------------------------------------------------------------------------
 XX         630.0000    260.0000    210.0000      0.0000      0.0000      0.0000
 YY         260.0000    630.0000    210.0000      0.0000      0.0000      0.0000
 ZZ         210.0000    210.0000    650.0000      0.0000      0.0000      0.0000
 XY           0.0000      0.0000      0.0000    185.0000      0.0000      0.0000
 YZ           0.0000      0.0000      0.0000      0.0000    180.0000      0.0000
 ZX           0.0000      0.0000      0.0000      0.0000      0.0000    180.0000
"""


def test_elastic_moduli_of_an_outcar(tmp_path: Path) -> None:
    (tmp_path / "OUTCAR").write_text(OUTCAR.replace("630.0", "999.0") + OUTCAR)
    found = elastic_result(changed(MAGNESIUM, elastic={"outcar": "OUTCAR"}), tmp_path)
    given = elastic_result(changed(MAGNESIUM), tmp_path)
    np.testing.assert_allclose(found.tensor_gpa, given.tensor_gpa, atol=1e-9)
    assert found.c44_gpa == pytest.approx(18.0)
    (tmp_path / "OUTCAR").write_text("----- aborting loop EDIFF was not reached (unconverged) -----\n" + OUTCAR)
    with pytest.raises(ConfigurationError, match="one of its strains have not converged"):
        elastic_result(changed(MAGNESIUM, elastic={"outcar": "OUTCAR"}), tmp_path)
    (tmp_path / "OUTCAR").write_text(OUTCAR[:300])
    with pytest.raises(ConfigurationError, match="no elastic moduli in"):
        elastic_result(changed(MAGNESIUM, elastic={"outcar": "OUTCAR"}), tmp_path)


def test_a_tensor_in_other_axes_is_refused(tmp_path: Path) -> None:
    """The axis of the crystal along x, and VASP's order of the shears: averages over the class would hide both."""
    titanium = {"c11_gpa": 176, "c12_gpa": 87, "c44_gpa": 51, "c13_gpa": 68, "c33_gpa": 191}
    given = elastic_result(changed(MAGNESIUM, elastic=titanium), tmp_path).tensor_gpa
    for order in ([2, 0, 1, 5, 3, 4], [0, 1, 2, 5, 3, 4]):
        turned = changed(MAGNESIUM, elastic={"tensor_gpa": given[np.ix_(order, order)].tolist()})
        with pytest.raises(ConfigurationError, match="from one with the symmetry of hcp"):
            elastic_result(turned, tmp_path)


def test_a_grid_file_without_end_is_refused(fcc: GammaPrior, tmp_path: Path) -> None:
    (tmp_path / "gamma.txt").write_text("0 1 2\n" * 800_000)
    assert "more than 4194304 bytes" in refused(changed(COPPER, gamma={"grid": {"file": "gamma.txt"}}), fcc, tmp_path)
    (tmp_path / "gamma.txt").write_text("0 100 200 300\n" * 6000)
    assert "gamma holds 24000 values" in refused(changed(COPPER, gamma={"grid": {"file": "gamma.txt"}}), fcc, tmp_path)


@pytest.mark.parametrize(
    "change",
    [
        {"gamma": {"points": [{"fraction": [2.55, 0], "gamma_mj_m2": 40}]}},
        {"gamma": {"lines": [{"end_fraction": [1, 0], "gamma_mj_m2": [0, 1e300, 0]}]}},
        {"gamma": {"points": [{"displacement_angstrom": [1e300, 0], "gamma_mj_m2": 40}]}},
        {"elastic": {"c11_gpa": 1.7e11, "c12_gpa": 1.2e11, "c44_gpa": 7.6e10}},
    ],
)
def test_numbers_in_other_units_are_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        changed(COPPER, **change)


def test_a_whole_tensor_and_its_constants_are_the_same(tmp_path: Path) -> None:
    given = elastic_result(changed(MAGNESIUM), tmp_path)
    whole = elastic_result(changed(MAGNESIUM, elastic={"tensor_gpa": given.tensor_gpa.tolist()}), tmp_path)
    np.testing.assert_allclose(whole.tensor_gpa, given.tensor_gpa)
    assert (whole.c13_gpa, whole.c33_gpa) == (given.c13_gpa, given.c33_gpa)
    assert whole.shear_modulus_gpa == pytest.approx(given.shear_modulus_gpa)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"lattice": {"a_angstrom": 3.6, "c_angstrom": 5.0}}, "lattice.c_angstrom is 5 for an fcc crystal"),
        ({"elastic": {}}, "elastic holds nothing"),
        ({"elastic": {"c11_gpa": 170, "c12_gpa": 120}}, "elastic holds c11_gpa, c12_gpa"),
        ({"elastic": {"c11_gpa": 120, "c12_gpa": 170, "c44_gpa": 70}}, "such a crystal is not stable"),
        ({"elastic": {"tensor_gpa": [[1.0] * 5] * 6}}, "rows of [5] numbers"),
        ({"gamma": {}}, "gamma holds no value"),
        ({"gamma": {"points": [{"gamma_mj_m2": 3}]}}, "points[0] has neither fraction"),
        ({"gamma": {"points": [{"fraction": [0, 0.1]}]}}, "points[0] has neither gamma_mj_m2"),
        ({"gamma": {"grid": {}}}, "gamma.grid has neither gamma_mj_m2 nor file"),
        ({"gamma": {"usf_mj_m2": 40, "isf_mj_m2": 160}}, "gamma.usf_mj_m2 is 40, less than gamma.isf_mj_m2, 160"),
        ({"gamma": {"grid": {"gamma_mj_m2": [[0, 1, 2], [0, 1], [0, 1, 2]]}}}, "3 rows of [2, 3] numbers"),
        ({"gamma": {"grid": {"file": "missing.csv"}}}, "cannot read γ from"),
        ({"gamma": {"grid": {"gamma_mj_m2": [[0, 9, 0], [9, 9, 9], [0, 9, 0]]}}}, "gamma.grid.repeats_edges is false"),
        (
            {"gamma": {"grid": {"gamma_mj_m2": [[0, 9, 5], [9, 9, 5], [5, 9, 5]], "repeats_edges": True}}},
            "gamma.grid.repeats_edges is true",
        ),
        ({"gamma": {"isf_mj_m2": 40, "reference_output": "a.xyz"}}, "but no point has an output"),
    ],
)
def test_what_is_missing_or_impossible_is_said(
    fcc: GammaPrior, tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    assert message in refused(changed(COPPER, **change), fcc, tmp_path)


def test_faults_that_a_plane_lacks_and_lattices_are_refused(hcp: GammaPrior, tmp_path: Path) -> None:
    assert "gamma.isf_mj_m2 for hcp_prismatic" in refused(changed(MAGNESIUM, gamma={"isf_mj_m2": 3}), hcp, tmp_path)
    assert "c_angstrom is missing" in refused(changed(MAGNESIUM, lattice={"a_angstrom": 3.2}), hcp, tmp_path)


def test_what_is_no_yaml_points_to_an_example_of_a_description(tmp_path: Path) -> None:
    (tmp_path / "copper.yaml").write_text("a: [1, 2\nb: }")
    with pytest.raises(ConfigurationError) as caught:
        read_inputs(tmp_path / "copper.yaml")
    assert caught.value.next_step == "correct that line; `glideflow predict --example fcc` prints a complete one"


def test_a_key_without_its_unit_is_recognised(tmp_path: Path) -> None:
    (tmp_path / "copper.yaml").write_text(yaml.safe_dump({**COPPER, "gamma": {"isf": 40}}))
    with pytest.raises(ConfigurationError, match="did you mean 'isf_mj_m2'"):
        read_inputs(tmp_path / "copper.yaml")


def test_unknown_keys_are_named_with_their_line(tmp_path: Path) -> None:
    file = tmp_path / "copper.yaml"
    file.write_text(yaml.safe_dump(COPPER) + "structures: fcc\n")
    with pytest.raises(ConfigurationError, match=r"(?s)line \d+, structures.*did you mean 'structure'") as caught:
        read_inputs(file)
    assert "glideflow predict --example" in caught.value.next_step
