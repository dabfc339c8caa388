"""From a potential's engine kind to the engine."""

from __future__ import annotations

from glideflow.config.engine import EngineSettings
from glideflow.engines.protocol import Engine
from glideflow.errors import PotentialError


def engine_for(kind: str, settings: EngineSettings) -> Engine:
    """The engine that evaluates potentials of this kind.

    Raises:
        PotentialError: no such engine.
    """
    if kind == "lammps":
        from glideflow.engines.lammps import LammpsEngine

        return LammpsEngine(settings)
    if kind == "nep":
        from glideflow.engines.nep import NepEngine

        return NepEngine()
    if kind == "ase":
        from glideflow.engines.ase_calculator import AseEngine

        return AseEngine()
    raise PotentialError(
        f"there is no engine {kind!r}",
        expected="one of lammps, nep, ase",
        next_step="choose potentials of these kinds with potentials.select",
    )
