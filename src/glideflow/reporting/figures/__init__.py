"""Figures of a strength library, each a function that returns a Plotly figure and survives missing values."""

from glideflow.reporting.figures.baselines import continuum_against_atomistic
from glideflow.reporting.figures.dispersion import coefficients_of_variation, normalised_parameters
from glideflow.reporting.figures.gamma import gamma_lines, gamma_path, gamma_surface
from glideflow.reporting.figures.loading import core_position, disregistry, stress_strain
from glideflow.reporting.figures.peierls import peierls_by_metal

__all__ = [
    "coefficients_of_variation",
    "continuum_against_atomistic",
    "core_position",
    "disregistry",
    "gamma_lines",
    "gamma_path",
    "gamma_surface",
    "normalised_parameters",
    "peierls_by_metal",
    "stress_strain",
]
