"""A potential that is an ASE calculator, named by its import path."""

from __future__ import annotations

import re

from glideflow.errors import PotentialError
from glideflow.potentials.record import Potential, Structure


def potential_from_calculator(element: str, structure: Structure, calculator: str) -> Potential:
    """Describe an ASE calculator as a potential.

    Args:
        element: chemical symbol.
        structure: ``fcc``, ``bcc`` or ``hcp``.
        calculator: ``module:factory``, a callable without arguments that returns a calculator.

    Raises:
        PotentialError: the path has not this form.
    """
    if not re.fullmatch(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*", calculator, re.ASCII):
        raise PotentialError(
            f"the calculator {calculator!r:.80}",
            expected="an import path module:factory, e.g. ase.calculators.emt:EMT",
            next_step="pass the path of a callable without arguments as --calculator",
        )
    return Potential(
        id=f"{element}_{calculator.replace(':', '.')}",
        element=element,
        structure=structure,
        engine="ase",
        calculator=calculator,
        family=calculator,
        source="ASE calculator",
        citation=f"the authors of {calculator.partition(':')[0]}",
    )
