"""The calculator of docs/extending.md goes from its manifest to elastic constants."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from ase.build import bulk
from ase.calculators.emt import EMT

PAGE = Path(__file__).parents[2] / "docs" / "extending.md"


def test_a_calculator_in_a_manifest_is_computed(tmp_path: Path) -> None:
    manifests = re.findall(r"```yaml\n(schema: .*?)```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "manifest.yaml").write_text(manifests[0], encoding="utf-8")
    settings = {"potentials": {"sources": [{"kind": "folder", "path": str(tmp_path / "models")}]}}
    (tmp_path / "run.yaml").write_text(yaml.safe_dump(settings), encoding="utf-8")
    command = [sys.executable, "-m", "glideflow", "elastic", "--config", "run.yaml", "--potential", "Cu_emt", "--json"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=1800, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    # The bulk modulus from energies alone, by ASE, with the same calculator.
    energies = {}
    for factor in (0.999, 1.0, 1.001):
        atoms = bulk("Cu", "fcc", a=found["a_angstrom"] * factor)
        atoms.calc = EMT(asap_cutoff=True)
        energies[factor] = (atoms.get_volume(), atoms.get_potential_energy())
    (v0, e0), (v1, e1), (v2, e2) = (energies[factor] for factor in (0.999, 1.0, 1.001))
    curvature = 2 * ((e2 - e1) / (v2 - v1) - (e1 - e0) / (v1 - v0)) / (v2 - v0)
    assert (found["c11_gpa"] + 2 * found["c12_gpa"]) / 3 == pytest.approx(v1 * curvature * 160.2176634, rel=2e-3)


def test_the_network_beside_it_is_an_entry_too() -> None:
    from glideflow.potentials.manifest import Entry

    blocks = re.findall(r"```yaml\n(  - id: .*?)```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)
    (entry,) = (Entry.model_validate(data) for block in blocks for data in yaml.safe_load(block))
    assert entry.calculator_arguments() == '{"default_dtype": "float64", "device": "cpu", "model_paths": "{0}"}'
    assert entry.cutoff == 12.0


def test_a_general_model_is_a_source_of_a_configuration() -> None:
    from glideflow.config.potentials import CalculatorSource, PotentialsSettings

    blocks = re.findall(r"```yaml\n(potentials:.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)
    settings = [PotentialsSettings.model_validate(yaml.safe_load(block)["potentials"]) for block in blocks]
    (source,) = (source for each in settings for source in each.sources if isinstance(source, CalculatorSource))
    assert source.elements == ("Cu", "W")
