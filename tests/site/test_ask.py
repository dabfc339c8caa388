"""Programs that refuse, hang, never stop talking, or leave children behind."""

from __future__ import annotations

import itertools
import time
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

import psutil
import pytest

from glideflow.site.ask import MOST_BYTES, ask

if TYPE_CHECKING:
    from conftest import MakeProgram

LONG_S = 300.0
"""Shorter than what hangs here, and longer than any answer takes, however busy the machine is."""


def test_an_answer_is_what_it_writes(make_program: MakeProgram) -> None:
    make_program("speak", 'printf "%s|" "$@"; echo "aside" >&2')
    answer = ask("speak", "a b", "$HOME;", limit_s=LONG_S)
    assert answer.good
    assert answer.text == "a b|$HOME;|"
    assert answer.complaint == "aside"


def test_a_refusal_carries_its_complaint(make_program: MakeProgram) -> None:
    make_program("refuse", "echo first >&2; echo 'Slurm accounting storage is disabled' >&2; exit 1")
    answer = ask("refuse", limit_s=LONG_S)
    assert answer.outcome == "refused"
    assert answer.described == "refuse refused: first Slurm accounting storage is disabled"


def test_a_program_that_is_not_there_is_absent(make_program: MakeProgram) -> None:
    make_program("plain", "").chmod(0o644)
    for name in ("nothing", "plain"):
        assert ask(name, limit_s=LONG_S).outcome == "absent"


def test_a_hang_is_ended_with_all_that_it_started(
    make_program: MakeProgram, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    child = tmp_path / "child"
    make_program("hang", f"sleep 1234 & echo $! > {child}; wait")
    # The time is up when there is something to end: the first look at the clock sets the deadline.
    looks = itertools.count()

    def monotonic() -> float:
        return LONG_S if next(looks) and child.exists() and child.read_text() != "" else 0.0

    clock = SimpleNamespace(monotonic=monotonic, sleep=time.sleep)
    monkeypatch.setattr("glideflow.site.ask.time", clock)
    answer = ask("hang", limit_s=1)
    assert answer.outcome == "hung"
    assert answer.described == "hang did not answer within 1 s"
    assert not _is_running(int(child.read_text()))


def test_a_child_that_keeps_the_output_open_is_not_waited_for(make_program: MakeProgram, tmp_path: Path) -> None:
    make_program("leave", f"sleep 1234 & echo $! > {tmp_path}/child; echo done")
    answer = ask("leave", limit_s=LONG_S)
    assert (answer.outcome, answer.text) == ("answered", "done\n"), "a child that is waited for would be a hang"
    assert not _is_running(int((tmp_path / "child").read_text()))


@pytest.mark.parametrize("stream", ["", ">&2"])
def test_endless_output_is_cut_off(make_program: MakeProgram, stream: str) -> None:
    make_program("flood", f"yes the same line over and over {stream}")
    answer = ask("flood", limit_s=LONG_S)
    assert answer.outcome == "flooded"
    assert len(answer.text) <= MOST_BYTES
    assert len(answer.complaint) < 1000


def test_output_that_is_no_text_is_replaced(make_program: MakeProgram) -> None:
    make_program("garbage", "printf '\\377\\376\\000\\033[2J'; printf '\\033]0;title\\007bad\\n' >&2; exit 3")
    answer = ask("garbage", limit_s=LONG_S)
    assert answer.text.startswith("\N{REPLACEMENT CHARACTER}")
    assert answer.complaint.isprintable()


def test_a_file_that_is_no_program_is_refused(make_program: MakeProgram) -> None:
    make_program("noise", "").write_bytes(b"\x7fELF nonsense")
    answer = ask("noise", limit_s=LONG_S)
    assert answer.outcome == "refused"
    assert "cannot be started" in answer.described


def test_nothing_is_read_from_the_terminal_and_the_language_is_english(make_program: MakeProgram) -> None:
    make_program("curious", 'read line; echo "[$line] $LC_ALL"')
    assert ask("curious", limit_s=LONG_S).text == "[] C\n"


def _is_running(pid: int) -> bool:
    deadline = time.monotonic() + LONG_S
    while time.monotonic() < deadline:
        try:
            if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
                return False
        except psutil.NoSuchProcess:
            return False
        time.sleep(0.05)
    return True
