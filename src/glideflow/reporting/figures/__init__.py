"""Figures of a strength library, each a function that returns a Plotly figure and survives missing values."""

from glideflow.reporting.figures.baselines import continuum_against_atomistic
from glideflow.reporting.figures.correlation import correlations, stress_against
from glideflow.reporting.figures.dispersion import coefficients_of_variation, normalised_parameters
from glideflow.reporting.figures.gamma import gamma_lines, gamma_path, gamma_surface
from glideflow.reporting.figures.loading import core_position, dislocation_density, disregistry, stress_strain
from glideflow.reporting.figures.peierls import peierls_by_metal
from glideflow.reporting.figures.ranking import peierls_ranking
from glideflow.reporting.figures.sizes import continuum_resistance, paper_curves, size_series

__all__ = [
    "coefficients_of_variation",
    "continuum_against_atomistic",
    "continuum_resistance",
    "core_position",
    "correlations",
    "dislocation_density",
    "disregistry",
    "gamma_lines",
    "gamma_path",
    "gamma_surface",
    "normalised_parameters",
    "paper_curves",
    "peierls_by_metal",
    "peierls_ranking",
    "size_series",
    "stress_against",
    "stress_strain",
]
