"""How much predictions lose where only four points of γ are known, on families that are left out.

    OMP_NUM_THREADS=1 python benchmarks/bench_transfer_points.py bcc --families 14

For each family, the model `best` and the prior of γ are made of all others. The same crystal is predicted from its
whole γ surface, and from four points of it; half a minute of one core for each family.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from glideflow import strength_library
from glideflow.config.strength_inputs import StrengthInputs
from glideflow.config.transfer import TransferDataSettings
from glideflow.crystals.lattices import FloatArray
from glideflow.properties.results import ElasticResult, LatticeResult
from glideflow.threads import single_thread
from glideflow.transfer.assembly import group_dataset
from glideflow.transfer.best import BestRegressor
from glideflow.transfer.dataset import TransferDataset, target_log10
from glideflow.transfer.gamma_prior import gamma_prior
from glideflow.transfer.metrics import errors_log10
from glideflow.transfer.periodic import values_at
from glideflow.transfer.prediction import StrengthModel, predict_crystal, training_domain
from glideflow.transfer.strength_models import only_system
from glideflow.transfer.user_inputs import user_crystal

FLOOR_MPA = 0.1
POINTS = {
    "fcc": ((0, -1 / 3), (0, -1 / 6), (0, 1 / 3), (0.5, 0)),
    "bcc": ((0.5, 0), (0.25, 0), (0.5, 0.5), (0, 0.5)),
    "hcp": ((0.5, 0), (0.25, 0), (0.5, 0.5), (0, 0.5)),
}
"""Displacements in periods."""


def described(dataset: TransferDataset, index: int) -> StrengthInputs:
    """A potential as a user would describe it who knows four points of γ."""
    entry = next(each for each in strength_library.load().entries if each.potential.id == dataset.potential_ids[index])
    lattice, elastic = (getattr(entry.stage(name), "result", None) for name in ("lattice", "elastic"))
    assert isinstance(lattice, LatticeResult)
    assert isinstance(elastic, ElasticResult)
    structure = dataset.structures[index]
    hexagonal = {"c13_gpa": elastic.c13_gpa, "c33_gpa": elastic.c33_gpa} if structure == "hcp" else {}
    places = np.array(POINTS[structure])
    values = values_at(dataset.gamma_mj_m2[index], places)
    points = [{"fraction": list(place), "gamma_mj_m2": float(g)} for place, g in zip(places, values, strict=True)]
    cubic = {"c11_gpa": elastic.c11_gpa, "c12_gpa": elastic.c12_gpa, "c44_gpa": elastic.c44_gpa}
    return StrengthInputs.model_validate(
        {
            "structure": structure,
            "lattice": {"a_angstrom": lattice.a_angstrom, "c_angstrom": lattice.c_angstrom},
            "elastic": cubic | hexagonal,
            "gamma": {"points": points},
        }
    )


def left_out(dataset: TransferDataset, indices: FloatArray) -> Iterator[tuple[float, float, float, float]]:
    """Error and spread of log₁₀ with the whole surface, and with four points, of each sample by models without it."""
    families, target = np.array(dataset.families), target_log10(dataset, FLOOR_MPA)
    for index in indices.astype(int):
        others = np.flatnonzero(families != families[index])
        fitted = BestRegressor(FLOOR_MPA).fit(dataset, others, 0)
        known = dataset.select(others)
        prior = gamma_prior(known, only_system(known))
        model = StrengthModel(name="best", model=fitted, prior=prior, domain=training_domain(known, FLOOR_MPA))
        few = predict_crystal(model, user_crystal(described(dataset, index), prior, Path()))
        whole = fitted.predict(dataset, np.array([index]))
        found = np.array([whole.log10_mpa[0], np.log10(few.peierls_mpa)])
        errors = errors_log10(found, target.select(np.array([index, index])))
        yield float(errors[0]), float(whole.spread_log10[0]), float(errors[1]), few.spread_log10


def main() -> None:
    """Print a row for each kind of input."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("structure", choices=sorted(POINTS))
    parser.add_argument("--families", type=int, default=14)
    options = parser.parse_args()
    dataset = group_dataset(options.structure, TransferDataSettings())
    with single_thread():
        rows = np.array(list(left_out(dataset, np.linspace(1, len(dataset) - 2, options.families))))
    for name, (error, spread) in (("whole surface", rows.T[:2]), ("four points", rows.T[2:])):
        size = np.abs(error)
        inside = [float(np.mean(size < reach * spread)) for reach in (0.9945, 1.645)]
        print(f"{name}: factor {10 ** np.median(size):.2f}, rmse {np.sqrt(np.mean(size**2)):.2f}, ", end="")
        print(f"{inside[0]:.0%} inside 68 %, {inside[1]:.0%} inside 90 %")


if __name__ == "__main__":
    main()
