from __future__ import annotations

import dataclasses
import shlex

from glideflow.records import SKIPPED
from glideflow.reporting.failures import failure_groups


def test_a_failure_with_what_was_skipped_for_it(library, broken):
    (group,) = failure_groups(library)
    (stage,) = group.stages
    assert group.error_class == broken.stages[0].failure.error_class
    assert stage.title == "lattice"
    assert stage.failure.reason == broken.stages[0].failure.reason
    assert stage.blocked == ("elastic constants", "γ surface, fcc_111", "Peierls stress, fcc_111, edge")


def test_commands_name_everything_that_the_record_needs(library, broken):
    stages = tuple(dataclasses.replace(stage, status="failed") for stage in broken.stages)
    failed = dataclasses.replace(library, entries=(dataclasses.replace(broken, stages=stages),))
    commands = {stage.title: shlex.split(stage.command) for group in failure_groups(failed) for stage in group.stages}
    peierls = commands["Peierls stress, fcc_111, edge"]
    folder = f"results/toy/potentials/{broken.potential.id}"
    assert peierls[:4] == ["glideflow", "peierls", "--potential", broken.potential.id]
    assert peierls[4:8] == ["--config", "results/toy/config.yaml", "--lattice", f"{folder}/lattice.h5"]
    assert peierls[8:] == [
        *["--slip-system", "fcc_111", "--character", "edge"],
        *["--output", f"{folder}/peierls_stress/fcc_111/edge.h5"],
        *["--work", f"work/toy/{broken.potential.id}"],  # it goes on from what there is
    ]
    assert commands["lattice"][6:8] == ["--output", f"{folder}/lattice.h5"]


def test_hostile_ids_are_quoted_for_a_shell(hostile_library):
    (group,) = failure_groups(hostile_library)
    command = group.stages[0].command
    assert shlex.split(command)[3] == hostile_library.entries[1].potential.id


def test_a_skipped_record_whose_cause_is_not_here_is_no_silence(library, broken):
    stages = tuple(dataclasses.replace(stage, status=SKIPPED) for stage in broken.stages[1:])
    orphan = dataclasses.replace(library, entries=(dataclasses.replace(broken, stages=stages),))
    (group,) = failure_groups(orphan)
    assert group.error_class == "Upstream"
    assert len(group.stages) == 3


def test_the_most_frequent_kind_comes_first(library, broken, renamed):
    others = [renamed(broken, id=f"other_{k}") for k in range(2)]
    changed = [
        dataclasses.replace(each, stages=tuple(_failing_as(stage, "TimeLimit") for stage in each.stages))
        for each in others
    ]
    found = failure_groups(dataclasses.replace(library, entries=(broken, *changed)))
    assert [group.error_class for group in found] == ["TimeLimit", broken.stages[0].failure.error_class]


def _failing_as(stage, kind):
    return dataclasses.replace(stage, failure=dataclasses.replace(stage.failure, error_class=kind))
