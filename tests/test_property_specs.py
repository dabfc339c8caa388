"""One entry per property: what stands there is what the settings, the code and the commands have."""

from __future__ import annotations

import inspect
from importlib import import_module
from typing import get_args

import pytest

from glideflow.config.load import settings_from_mapping
from glideflow.config.run import RunSettings
from glideflow.config.subsets import SubsetSettings
from glideflow.potentials.record import Potential
from glideflow.property_specs import ALL_PROPERTIES, PROPERTIES, Property, PropertySpec, with_needs
from glideflow.result_files import RESULT_FILES
from glideflow.run import ResolvedRun, first_of_families, settings_digest, subset_of

SPECS = list(PROPERTIES.values())
OFFERED = {"engine", "potential", "settings", "system", "character", "seed", "workbench", "progress"}


def test_every_name_has_one_entry_in_an_order_in_which_they_can_be_computed() -> None:
    assert get_args(Property) == ALL_PROPERTIES
    for index, spec in enumerate(SPECS):
        assert set(spec.needs) <= set(ALL_PROPERTIES[:index])
        for needed in spec.needs:
            assert set(PROPERTIES[needed].labels) <= set(spec.labels), "a result for each of its own"
    for attribute in ("argument", "command", "function", "title", "result_file", "job_name"):
        assert len({getattr(spec, attribute) for spec in SPECS}) == len(SPECS)


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.name)
def test_an_entry_says_what_the_function_takes(spec: PropertySpec) -> None:
    module, _, name = spec.function.partition(":")
    parameters = inspect.signature(getattr(import_module(f"glideflow.{module}"), name)).parameters
    sections = {f"{section}_settings" for section in spec.sections}
    needed = {PROPERTIES[each].argument for each in spec.needs}
    required = {key for key, parameter in parameters.items() if parameter.default is inspect.Parameter.empty}
    assert required <= OFFERED | sections | needed
    assert needed - set(parameters) <= {"elastic", "gamma"}, "what it needs is what it takes"
    assert set(spec.sections) <= set(RunSettings.model_fields)
    annotation = parameters["settings"].annotation
    assert annotation == type(getattr(RunSettings(), spec.sections[0])).__name__


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.name)
def test_the_command_exists_and_takes_what_the_rule_gives(spec: PropertySpec) -> None:
    from typer.main import get_command

    from glideflow.cli.app import app

    words = spec.command.split()
    command = get_command(app).commands[words[0]]  # type: ignore[attr-defined]
    options = {option for parameter in command.params for option in parameter.opts}
    given = [word for word in words[1:] if word.startswith("--")]
    given += [f"--{PROPERTIES[needed].argument}" for needed in spec.needs]
    given += [f"--{label.replace('_', '-')}" for label in spec.labels]
    assert {*given, "--potential", "--config", "--output", "--work"} <= options


def test_files_of_results_are_where_they_always_were() -> None:
    assert RESULT_FILES["lattice"] == "potentials/{potential}/lattice.h5"
    assert RESULT_FILES["gamma_surface"] == "potentials/{potential}/gamma_surface/{slip_system}.h5"
    assert RESULT_FILES["peierls_stress"] == "potentials/{potential}/peierls_stress/{slip_system}/{character}.h5"


def test_what_a_property_needs_comes_with_it() -> None:
    assert with_needs(("peierls_series",)) == ("lattice", "peierls_stress", "peierls_series")
    assert with_needs(("peierls_nabarro",)) == ("lattice", "elastic", "gamma_surface", "peierls_nabarro")
    assert with_needs(()) == ()


def copper(name: str, family: str, *, primary: bool = False) -> Potential:
    return Potential(id=name, element="Cu", structure="fcc", pair_style="eam", family=family, family_primary=primary)


def test_the_first_families_of_a_metal_are_represented_by_their_primary_members() -> None:
    potentials = [
        copper("Cu_b", "F02"),
        copper("Cu_a", "F02", primary=True),
        copper("Cu_d", "F01"),
        copper("Cu_c", "F01"),
        copper("Cu_e", "F03", primary=True),
        Potential(id="Fe_a", element="Fe", structure="bcc", pair_style="eam"),
        Potential(id="Fe_b", element="Fe", structure="bcc", pair_style="eam"),
    ]
    assert first_of_families(potentials, 2) == {"Cu_a", "Cu_c", "Fe_a", "Fe_b"}
    assert first_of_families(potentials, 1) == {"Cu_c", "Fe_a"}


def test_a_subset_may_be_some_elements() -> None:
    potentials = [copper("Cu_a", "F01"), Potential(id="Fe_a", element="Fe", structure="bcc", pair_style="eam")]
    assert subset_of(potentials, SubsetSettings(property="peierls_series", elements=("Fe",))) == {"Fe_a"}
    assert subset_of(potentials, SubsetSettings(property="peierls_series")) == {"Cu_a", "Fe_a"}
    only_copper = SubsetSettings(property="peierls_series", elements=("Cu",), families_per_metal=3)
    assert subset_of(potentials, only_copper) == {"Cu_a"}


def test_a_property_of_a_subset_is_computed_for_it_and_for_what_needs_it() -> None:
    mapping = {
        "properties": ["lattice", "peierls_series"],
        "subsets": [{"property": "peierls_series", "families_per_metal": 1}],
    }
    potentials = (copper("Cu_a", "F01", primary=True), copper("Cu_b", "F02", primary=True))
    run = ResolvedRun(settings=settings_from_mapping(mapping, "test"), base=None, potentials=potentials)  # type: ignore[arg-type]
    tasks = [(task.potential, task.rule) for task in run.property_tasks()]
    assert tasks == [("Cu_a", "lattice"), ("Cu_a", "peierls_stress"), ("Cu_a", "peierls_series"), ("Cu_b", "lattice")]
    series = next(task for task in run.property_tasks() if task.rule == "peierls_series")
    assert series.inputs == (
        "potentials/Cu_a/lattice.h5",
        "potentials/Cu_a/peierls_stress/fcc_111/edge.h5",
    )


def test_the_choice_of_potentials_and_characters_changes_no_result() -> None:
    systems = [{"name": "fcc_111", "structure": "fcc", "plane": [1, 1, 1], "direction": [-1, 1, 0]}]
    plain = settings_from_mapping({"slip_systems": systems}, "test")
    more = settings_from_mapping(
        {
            "slip_systems": [systems[0] | {"characters": ["edge", "screw"]}],
            "subsets": [{"property": "peierls_stress", "families_per_metal": 3}],
        },
        "test",
    )
    for name in ("gamma_surface", "peierls_stress", "peierls_series"):
        first, second = (settings_digest(settings, name, slip_system="fcc_111") for settings in (plain, more))
        assert first == second
