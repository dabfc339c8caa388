"""Errors that a user meets: what was found, what was expected, what to do next."""

from __future__ import annotations

from glideflow.text import printable


class GlideflowError(Exception):
    """Base of every error that the package raises on purpose.

    Attributes:
        found: what is wrong, with the offending value.
        expected: what would have been right.
        next_step: what the user can do now.
    """

    def __init__(self, found: str, *, expected: str = "", next_step: str = "") -> None:
        self.found = found
        self.expected = expected
        self.next_step = next_step
        super().__init__(found, expected, next_step)

    def __reduce__(self) -> tuple[object, ...]:
        """Keep the keyword fields across process borders."""
        return (_rebuild, (type(self), self.found, self.expected, self.next_step))

    def __str__(self) -> str:
        lines = [self.found]
        if self.expected:
            lines.append(f"  expected: {self.expected}")
        if self.next_step:
            lines.append(f"  next step: {self.next_step}")
        return printable("\n".join(lines))


def _rebuild(cls: type[GlideflowError], found: str, expected: str, next_step: str) -> GlideflowError:
    return cls(found, expected=expected, next_step=next_step)


class ConfigurationError(GlideflowError):
    """The configuration cannot be run."""


class PotentialError(GlideflowError):
    """A potential is missing, altered, malformed, or does not cover what is asked of it."""


class EngineError(GlideflowError):
    """An engine could not evaluate energies, forces or stresses."""


class NonFiniteError(EngineError):
    """An engine returned NaN or infinity."""


class ConvergenceError(GlideflowError):
    """A numerical procedure ended without meeting its tolerance."""


class PropertyError(GlideflowError):
    """A property has no meaning for this potential (no bound crystal, unstable lattice, ...)."""


class StorageError(GlideflowError):
    """A file cannot be written, or is not what it should be."""


class SlipSystemError(GlideflowError):
    """Miller indices do not describe a slip system of the crystal."""


class DependencyError(GlideflowError):
    """A package or program that this task needs is not installed."""


class TerminatedError(GlideflowError):
    """Work was ended from outside before it was done, which says nothing about what it was computing."""


class BusyError(GlideflowError):
    """Another process is at work on the same files."""


class SchedulerError(GlideflowError):
    """The batch system does not answer, or does not do what it is asked to."""
