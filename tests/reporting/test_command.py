from __future__ import annotations

import subprocess
import sys

from typer.testing import CliRunner

from glideflow.cli.app import app
from glideflow.storage import write_record


def test_the_command_writes_the_report_and_prints_its_path(library, tmp_path):
    write_record(tmp_path / "library.h5", library)
    (tmp_path / "config.yaml").write_text("name: renamed\n")
    output = tmp_path / "folder" / "report.html"
    arguments = ["report", "--library", str(tmp_path / "library.h5"), "--output", str(output)]
    result = CliRunner().invoke(app, [*arguments, "--config", str(tmp_path / "config.yaml")])
    assert result.exit_code == 0, result.output
    assert result.stdout.strip() == str(output)
    assert "<h1>renamed</h1>" in output.read_text(encoding="utf-8")


def test_a_library_that_is_none_is_refused_with_one_message(tmp_path):
    (tmp_path / "library.h5").write_text("nothing")
    command = [sys.executable, "-m", "glideflow.cli.app", "report"]
    command += ["--library", str(tmp_path / "library.h5"), "--output", str(tmp_path / "report.html")]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 2
    assert "cannot be opened as HDF5" in result.stderr
    assert "Traceback" not in result.stderr
    assert not (tmp_path / "report.html").exists()
