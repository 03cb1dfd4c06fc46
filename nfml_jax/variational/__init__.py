"""Variational inference with flows: targets, objectives, and checks of the result.

Pure functions of arrays, to be compiled by the caller; keys are arguments.
"""

from nfml_jax.variational.annealing import (
    annealed_importance_sampling,
    hamiltonian,
    random_walk,
)
from nfml_jax.variational.energies import ENERGIES, SQUARE, Energy
from nfml_jax.variational.objectives import (
    OBJECTIVES,
    WHOLE_BATCH,
    Approximation,
    DivergenceSettings,
    alpha_divergence,
    approximation_of,
    estimates,
    forward_kl,
    log_weights,
    make_objective,
    path_gradient,
    reverse_kl,
    traced_options,
)
from nfml_jax.variational.quadrature import draws_on_grid, kl_on_grid

__all__ = [
    "ENERGIES",
    "OBJECTIVES",
    "SQUARE",
    "WHOLE_BATCH",
    "Approximation",
    "DivergenceSettings",
    "Energy",
    "alpha_divergence",
    "annealed_importance_sampling",
    "approximation_of",
    "draws_on_grid",
    "estimates",
    "forward_kl",
    "hamiltonian",
    "kl_on_grid",
    "log_weights",
    "make_objective",
    "path_gradient",
    "random_walk",
    "reverse_kl",
    "traced_options",
]
