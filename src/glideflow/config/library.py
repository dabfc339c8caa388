"""Section ``library``: how the results of a run are gathered."""

from __future__ import annotations

from pydantic import Field

from glideflow.config.base import Section


class LibrarySettings(Section):
    """How results are gathered into a library."""

    accept_missing_percent: float = Field(default=0.0, ge=0, le=100)
    """Share of the results that may be missing from a library: files that were never written, or cannot be read,
    because their job died. They are named in the library and in the report. A physical failure is a recorded result
    and never counts."""
    wait_for_missing: bool = True
    """Whether the workflow computes what is missing before it gathers; ``false`` gathers what is there now."""
