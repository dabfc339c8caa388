"""The properties that can be computed: one entry each, read by whatever needs to know that there are any.

Settings, tasks and files of a run, the rules of the workflow, the commands, the report and the child process that
computes all take from here what a property is called, what it needs and where it lies. To add one: a function, a
record, a section of the configuration, and an entry below (docs/extending.md).

This module imports nothing: every job step of the workflow reads it again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Property = Literal[
    "lattice",
    "elastic",
    "gamma_surface",
    "peierls_stress",
    "peierls_series",
    "peierls_paper",
    "peierls_nabarro",
    "peierls_strain",
]
Label = Literal["slip_system", "character"]


@dataclass(frozen=True, kw_only=True)
class PropertySpec:
    """What is to be known of a property without loading the code that computes it.

    Attributes:
        name: name in configurations, file names and records, and of its rule.
        title: name in words.
        command: words after ``glideflow`` that compute it.
        function: ``module:function`` below this package. The function is called with those of the following that it
            has parameters for: ``engine``, ``potential``, ``settings`` (the first of ``sections``), ``system`` and
            ``character``, ``seed``, ``workbench``, ``progress``, the results of what it needs by their ``argument``,
            and every further section of ``sections`` as ``<section>_settings``.
        argument: parameter by which functions that need this property take its result.
        needs: properties whose results it reads, with the same slip system and character where these have one.
        labels: what there is one result for, beside the potential.
        sections: sections of the configuration, its own first, that decide the result, beside the potential and the
            engine. Limits and parallelism decide only whether and how fast it is obtained: raising a limit must not
            throw away what was computed under the old one.
    """

    name: Property
    title: str
    command: str
    function: str
    argument: str
    needs: tuple[Property, ...] = ("lattice",)
    labels: tuple[Label, ...] = ()
    sections: tuple[str, ...] = ()

    @property
    def module(self) -> str:
        """Module of the function, without the name of the package."""
        # With the name of the package the string would be a reference to `code_digest`, and whatever imports this
        # module would depend on all of them.
        return self.function.partition(":")[0]

    @property
    def result_file(self) -> str:
        """Path of a result relative to ``<results>/<name>``; the braces are Snakemake's wildcards."""
        return "potentials/{potential}/" + "/".join([self.name, *map(_wildcard, self.labels)]) + ".h5"

    @property
    def job_name(self) -> str:
        """Path that tells the jobs of the property apart, for logs and benchmarks, without suffix."""
        return "/".join([self.name, "{potential}", *map(_wildcard, self.labels)])


def _wildcard(label: str) -> str:
    return "{" + label + "}"


_SPECS = (
    PropertySpec(
        name="lattice",
        title="lattice",
        command="lattice",
        function="properties.lattice:relax_lattice",
        argument="lattice",
        needs=(),
        sections=("lattice",),
    ),
    PropertySpec(
        name="elastic",
        title="elastic constants",
        command="elastic",
        function="properties.elastic:elastic_constants",
        argument="elastic",
        sections=("elastic",),
    ),
    PropertySpec(
        name="gamma_surface",
        title="γ surface",
        command="gamma",
        function="properties.gamma_surface:gamma_surface",
        argument="gamma",
        labels=("slip_system",),
        sections=("gamma_surface", "seed"),
    ),
    PropertySpec(
        name="peierls_stress",
        title="Peierls stress",
        command="peierls",
        function="properties.peierls_stress:peierls_stress",
        argument="reference",
        labels=("slip_system", "character"),
        sections=("peierls_stress", "seed"),
    ),
    PropertySpec(
        name="peierls_series",
        title="Peierls stress, size series",
        command="peierls-series",
        function="properties.peierls_series:peierls_series",
        argument="series",
        needs=("lattice", "peierls_stress"),
        labels=("slip_system", "character"),
        sections=("peierls_series", "peierls_stress", "seed"),
    ),
    PropertySpec(
        name="peierls_paper",
        title="Peierls stress, paper protocol",
        command="peierls-paper",
        function="properties.peierls_paper:peierls_paper",
        argument="paper",
        labels=("slip_system", "character"),
        sections=("peierls_paper",),
    ),
    PropertySpec(
        name="peierls_nabarro",
        title="Peierls stress, continuum models",
        command="peierls-nabarro",
        function="properties.peierls_nabarro:peierls_nabarro",
        argument="nabarro",
        needs=("lattice", "elastic", "gamma_surface"),
        labels=("slip_system", "character"),
        sections=("peierls_nabarro",),
    ),
    PropertySpec(
        name="peierls_strain",
        title="Peierls stress by strain control",
        command="peierls --control strain",
        function="properties.peierls_strain:strain_controlled_peierls_stress",
        argument="strain_controlled",
        labels=("slip_system", "character"),
        sections=("peierls_stress", "seed"),
    ),
)

PROPERTIES: Mapping[Property, PropertySpec] = {spec.name: spec for spec in _SPECS}
"""Every property by name, in an order in which they can be computed."""

ALL_PROPERTIES: tuple[Property, ...] = tuple(PROPERTIES)

DEFAULT_PROPERTIES: tuple[Property, ...] = ("lattice", "elastic", "gamma_surface", "peierls_stress")
"""What a run computes unless its configuration says something else."""


def with_needs(names: tuple[Property, ...]) -> tuple[Property, ...]:
    """Properties and all that they need, in an order in which they can be computed."""
    wanted = set(names)
    for name in reversed(ALL_PROPERTIES):
        if name in wanted:
            wanted.update(PROPERTIES[name].needs)
    return tuple(name for name in ALL_PROPERTIES if name in wanted)
