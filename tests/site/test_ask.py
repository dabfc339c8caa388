"""Programs that refuse, hang, never stop talking, or leave children behind."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest

from glideflow.site.ask import MOST_BYTES, ask

if TYPE_CHECKING:
    from conftest import MakeProgram


def test_an_answer_is_what_it_writes(make_program: MakeProgram) -> None:
    make_program("speak", 'printf "%s|" "$@"; echo "aside" >&2')
    answer = ask("speak", "a b", "$HOME;", limit_s=60)
    assert answer.good
    assert answer.text == "a b|$HOME;|"
    assert answer.complaint == "aside"


def test_a_refusal_carries_its_complaint(make_program: MakeProgram) -> None:
    make_program("refuse", "echo first >&2; echo 'Slurm accounting storage is disabled' >&2; exit 1")
    answer = ask("refuse", limit_s=60)
    assert answer.outcome == "refused"
    assert answer.described == "refuse refused: first Slurm accounting storage is disabled"


def test_a_program_that_is_not_there_is_absent(make_program: MakeProgram) -> None:
    make_program("plain", "").chmod(0o644)
    for name in ("nothing", "plain"):
        assert ask(name, limit_s=60).outcome == "absent"


def test_a_hang_is_ended_with_all_that_it_started(make_program: MakeProgram, tmp_path: Path) -> None:
    make_program("hang", f"sleep 1234 & echo $! > {tmp_path}/child; wait")
    before = time.monotonic()
    answer = ask("hang", limit_s=1)
    assert answer.outcome == "hung"
    assert answer.described == "hang did not answer within 1 s"
    assert time.monotonic() - before < 100
    assert not _is_running(int((tmp_path / "child").read_text()))


def test_a_child_that_keeps_the_output_open_is_not_waited_for(make_program: MakeProgram, tmp_path: Path) -> None:
    make_program("leave", f"sleep 1234 & echo $! > {tmp_path}/child; echo done")
    before = time.monotonic()
    answer = ask("leave", limit_s=30)
    assert (answer.outcome, answer.text) == ("answered", "done\n")
    assert time.monotonic() - before < 25
    assert not _is_running(int((tmp_path / "child").read_text()))


@pytest.mark.parametrize("stream", ["", ">&2"])
def test_endless_output_is_cut_off(make_program: MakeProgram, stream: str) -> None:
    make_program("flood", f"yes the same line over and over {stream}")
    before = time.monotonic()
    answer = ask("flood", limit_s=60)
    assert answer.outcome == "flooded"
    assert len(answer.text) <= MOST_BYTES
    assert len(answer.complaint) < 1000
    assert time.monotonic() - before < 55


def test_output_that_is_no_text_is_replaced(make_program: MakeProgram) -> None:
    make_program("garbage", "printf '\\377\\376\\000\\033[2J'; printf '\\033]0;title\\007bad\\n' >&2; exit 3")
    answer = ask("garbage", limit_s=60)
    assert answer.text.startswith("\N{REPLACEMENT CHARACTER}")
    assert answer.complaint.isprintable()


def test_a_file_that_is_no_program_is_refused(make_program: MakeProgram) -> None:
    make_program("noise", "").write_bytes(b"\x7fELF nonsense")
    answer = ask("noise", limit_s=60)
    assert answer.outcome == "refused"
    assert "cannot be started" in answer.described


def test_nothing_is_read_from_the_terminal_and_the_language_is_english(make_program: MakeProgram) -> None:
    make_program("curious", 'read line; echo "[$line] $LC_ALL"')
    assert ask("curious", limit_s=60).text == "[] C\n"


def _is_running(pid: int) -> bool:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
            return False
        time.sleep(0.05)
    return True
