"""Real records of one potential (Al, Mendelev 2008, small cells), to be changed as a test needs them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from glideflow.config.run import RunSettings
from glideflow.library_families import with_families
from glideflow.property_specs import PROPERTIES
from glideflow.quality_flags import quality_flags
from glideflow.records import Library, LibraryEntry, StageFailure, StageRecord
from glideflow.storage import read_record, write_record

RECORDS = Path(__file__).parents[1] / "data" / "records_v1"


@dataclass(frozen=True)
class Records:
    """The four records by property, and what tests make of them."""

    stages: dict[str, StageRecord]

    def __getitem__(self, name: str) -> StageRecord:
        return self.stages[name]

    def result(self, name: str) -> Any:
        """Result of a property."""
        return self.stages[name].result

    def changed(self, name: str, **values: Any) -> StageRecord:
        """A record with other values in its result."""
        return replace(self.stages[name], result=replace(self.result(name), **values))

    def failed(self, name: str, reason: str = "did not converge") -> StageRecord:
        """A record of a property that has failed."""
        failure = StageFailure(error_class="Crashed", reason=reason)
        return replace(self.stages[name], status="failed", result=None, failure=failure)

    def of(self, *stages: StageRecord, **potential: Any) -> tuple[StageRecord, ...]:
        """Records (all four, if none are given) of another potential."""
        return tuple(
            replace(stage, potential=replace(stage.potential, **potential)) for stage in stages or self.stages.values()
        )

    def entry(self, *stages: StageRecord, **potential: Any) -> LibraryEntry:
        """An entry with the records (all four, if none are given), of another potential if told so."""
        own = self.of(*stages, **potential)
        return LibraryEntry(potential=own[0].potential, stages=own, flags=quality_flags(own))

    def library(self, *entries: LibraryEntry) -> Library:
        """A library of the default configuration."""
        settings = RunSettings().model_dump_json()
        return Library(name="test", glideflow_version="0", settings_json=settings, entries=with_families(entries))

    def results(self, folder: Path, *stages: StageRecord, settings: str = "name: test\n") -> Path:
        """A folder of results of a run with the records (all four, if none are given), as the workflow leaves it."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "config.yaml").write_text(settings, encoding="utf-8")
        for stage in stages or self.stages.values():
            labels = {"slip_system": stage.slip_system, "character": stage.character}
            file = PROPERTIES[stage.property].result_file.format(potential=stage.potential.id, **labels)  # type: ignore[index]
            write_record(folder / file, stage)
        return folder


@pytest.fixture(scope="session")
def records() -> Records:
    """Records of a real potential."""
    names = ("lattice", "elastic", "gamma_surface", "peierls_stress")
    return Records({name: read_record(RECORDS / f"{name}.h5", StageRecord) for name in names})
