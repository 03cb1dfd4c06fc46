"""Variational inference with flows: targets, objectives, and checks of the result.

All are pure functions of arrays with keys as arguments, to be compiled by the caller.

>>> import jax
>>> import jax.numpy as jnp
>>> from nfml_jax import flows
>>> flow = flows.realnvp(event_dim=2, layers=1, hidden=(8,))
>>> variables = flow.init(jax.random.key(0), jnp.zeros((1, 2)))
>>> q, u1 = approximation_of(flow), ENERGIES["u1"]
>>> loss = reverse_kl(q, u1.log_density, variables, jax.random.key(1), 8)
>>> loss.shape
()
"""

from nfml_jax.variational.annealing import (
    annealed_importance_sampling,
    hamiltonian,
    random_walk,
)
from nfml_jax.variational.approximation import Approximation, approximation_of
from nfml_jax.variational.energies import ENERGIES, SQUARE, Energy
from nfml_jax.variational.importance import estimates, log_weights
from nfml_jax.variational.objectives import (
    OBJECTIVES,
    WHOLE_BATCH,
    DivergenceSettings,
    alpha_divergence,
    forward_kl,
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
