"""Objectives that fit a flow q to a density p̃ whose normalizer is unknown.

The density is given by its logarithm, `log_density(x [n, D]) -> [n]`. Z = ∫ p̃ is its
normalizer, and p = p̃ / Z. An objective `(q, log_density, variables, key, n) -> loss` is
a scalar in nats, estimated from n draws, to be differentiated in `variables`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from nfml_jax.errors import UserError
from nfml_jax.ops.fields import traced_fields
from nfml_jax.ops.names import look_up
from nfml_jax.ops.settings import Settings, setting
from nfml_jax.variational.approximation import Approximation, LogDensity
from nfml_jax.variational.importance import relative_weights

Array = jax.Array


def reverse_kl(
    q: Approximation, log_density: LogDensity, variables, key: Array, n: int
) -> Array:
    """Return E_q[log q - log p̃] = KL(q ‖ p) - log Z, the negative ELBO.

    The gradient is that through the draws (Rezende and Mohamed 2015). For draws without
    a gradient it uses their score, with the mean of the other draws as the baseline.

    >>> from nfml_jax import flows, variational
    >>> flow = flows.realnvp(event_dim=2, layers=1, hidden=(8,))
    >>> variables = flow.init(jax.random.key(0), jnp.zeros((1, 2)))
    >>> q, u1 = variational.approximation_of(flow), variational.ENERGIES["u1"]
    >>> loss = reverse_kl(q, u1.log_density, variables, jax.random.key(1), 8)
    >>> loss.shape
    ()
    """
    x, log_q, score = _draws(q, variables, key, n)
    gains = log_q - log_density(x)
    return jnp.mean(gains) + _by_score(gains, score)


def path_gradient(
    q: Approximation, log_density: LogDensity, variables, key: Array, n: int
) -> Array:
    """Return the value of `reverse_kl`, with the gradient along the draws' paths only.

    The expectation of the gradient is the same, and it is zero for every draw if q = p
    ("sticking the landing", Roeder et al., NeurIPS 2017). It needs the flow's inverse.

    >>> from nfml_jax import flows, variational
    >>> flow = flows.realnvp(event_dim=2, layers=1, hidden=(8,))
    >>> variables = flow.init(jax.random.key(0), jnp.zeros((1, 2)))
    >>> q, u1 = variational.approximation_of(flow), variational.ENERGIES["u1"]
    >>> loss = path_gradient(q, u1.log_density, variables, jax.random.key(1), 8)
    >>> loss.shape
    ()
    """
    x, _, score = _draws(q, variables, key, n)
    gains = q.log_prob(lax.stop_gradient(variables), x) - log_density(x)
    return jnp.mean(gains) + _by_score(gains, score)


def forward_kl(
    q: Approximation,
    log_density: LogDensity,
    variables,
    key: Array,
    n: int,
    *,
    axis_name: str | None = None,
) -> Array:
    """Return E_p[log p̃ - log q] = KL(p ‖ q) + log Z by importance weights.

    Draws of q are weighted by p̃ / q, and the weights are normalized by their sum. The
    estimate and its gradient have a bias of order 1 / n, which is large if q misses a
    part of p. It needs the flow's inverse. With `axis_name` the draws are those of all
    devices of this axis, n on each. If all weights are zero, the loss is infinite, with
    gradients of zero.

    >>> from nfml_jax import flows, variational
    >>> flow = flows.realnvp(event_dim=2, layers=1, hidden=(8,))
    >>> variables = flow.init(jax.random.key(0), jnp.zeros((1, 2)))
    >>> q, u1 = variational.approximation_of(flow), variational.ENERGIES["u1"]
    >>> loss = forward_kl(q, u1.log_density, variables, jax.random.key(1), 8)
    >>> loss.shape
    ()
    """
    x, log_q = lax.stop_gradient(q.sample_and_log_prob(variables, key, n))
    log_p = lax.stop_gradient(log_density(x))
    weights, log_mean = _shares(log_p - log_q, axis_name)
    # A weight of 0 says that p has no mass there, whatever q has.
    gains = jnp.where(weights > 0, log_p - q.log_prob(variables, x), 0)
    return jnp.where(log_mean == -jnp.inf, jnp.inf, jnp.mean(weights * gains))


def alpha_divergence(
    q: Approximation,
    log_density: LogDensity,
    variables,
    key: Array,
    n: int,
    *,
    alpha: float = 0.5,
    axis_name: str | None = None,
) -> Array:
    """Return Rényi's D_α(q ‖ p) - log Z (Li and Turner, NeurIPS 2016).

    It is -log E_q[(p̃ / q)^(1 - α)] / (1 - α). In the limit α → 1 it is `reverse_kl`.
    α = 0 is the importance-weighted bound, and α = 2 corresponds to χ²(q ‖ p). With
    `axis_name` the draws are those of all devices of this axis, n on each. The
    divergence is infinite if all weights are zero (α < 1), or if p̃ is zero at a draw
    (α > 1).

    Raises:
      UserError: `alpha` is 1.

    >>> from nfml_jax import flows, variational
    >>> flow = flows.realnvp(event_dim=2, layers=1, hidden=(8,))
    >>> variables = flow.init(jax.random.key(0), jnp.zeros((1, 2)))
    >>> q, u1 = variational.approximation_of(flow), variational.ENERGIES["u1"]
    >>> loss = alpha_divergence(q, u1.log_density, variables, jax.random.key(1), 8)
    >>> loss.shape
    ()
    """
    _check(alpha)
    x, log_q, score = _draws(q, variables, key, n)
    gains = log_density(x) - log_q
    shares, log_mean = _shares((1 - alpha) * gains, axis_name)
    # The logarithm's gradient is that of the gains' weighted mean.
    counts = (shares > 0) & jnp.isfinite(gains)
    weighted = jnp.mean(jnp.where(counts, shares * gains, 0))
    if score is not None:
        weighted += jnp.mean((shares - 1) * score) / (1 - alpha)
    return lax.stop_gradient(weighted - log_mean / (1 - alpha)) - weighted


def _draws(q, variables, key, n):
    """Return draws, their log-densities, and their score, or None if differentiable."""
    if q.sample_with_score is None:
        return *q.sample_and_log_prob(variables, key, n), None
    return q.sample_with_score(variables, key, n)


def _by_score(gains, score):
    """Return zero with the score-function gradient of the mean gain."""
    if score is None:
        return 0.0
    others = (gains.sum() - gains) / max(gains.size - 1, 1)
    weights = lax.stop_gradient(gains - others) / gains.size
    return (weights * (score - lax.stop_gradient(score))).sum()


def _shares(log_weights, axis_name):
    """Return weights with mean one over all devices' draws, and their log mean.

    They are constants in differentiation. An average with these weights is exact after
    the usual average over devices.
    """
    log_weights = lax.stop_gradient(log_weights)
    largest = log_weights.max()
    if axis_name is not None:
        largest = lax.pmax(largest, axis_name)
    weights = relative_weights(log_weights, largest)
    total = jnp.mean(weights)
    if axis_name is not None:
        total = lax.pmean(total, axis_name)
    shares = jnp.where(total > 0, weights / total, 0)
    return shares, jnp.log(total) + largest


def _check(alpha):
    if not isinstance(alpha, Array) and alpha == 1:  # a traced one is unknown here
        raise UserError("alpha is 1, where the divergence is reverse_kl; use that.")


OBJECTIVES = {
    "reverse_kl": reverse_kl,
    "path_gradient": path_gradient,
    "forward_kl": forward_kl,
    "alpha_divergence": alpha_divergence,
}


WHOLE_BATCH = ("forward_kl", "alpha_divergence")
"""The objectives that normalize importance weights over all draws of a batch."""


@dataclass(frozen=True)
class DivergenceSettings(Settings):
    """The section "objective" of a flow that is fitted to an energy.

    >>> DivergenceSettings(name="alpha_divergence", alpha=0.2).whole_batch
    True
    """

    section = "objective"

    name: str = setting("One of `OBJECTIVES`.", "reverse_kl")
    alpha: float = setting("The order of alpha_divergence, not 1.", 0.5, traced=True)

    def __post_init__(self) -> None:
        """Check the name, and the order of an alpha divergence."""
        super().__post_init__()
        look_up(OBJECTIVES, self.name, "objective")
        if self.name == "alpha_divergence":
            _check(self.alpha)

    @property
    def whole_batch(self) -> bool:
        """True if importance weights are normalized over all draws of a batch."""
        return self.name in WHOLE_BATCH


def make_objective(
    settings: DivergenceSettings, *, axis_name: str | None = None
) -> Callable:
    """Return the objective of `settings`.

    `axis_name` is the device axis that a step is mapped over, or None.

    >>> make_objective(DivergenceSettings(name="reverse_kl")) is reverse_kl
    True
    """
    objective = OBJECTIVES[settings.name]
    if objective is alpha_divergence:
        return partial(objective, alpha=settings.alpha, axis_name=axis_name)
    if objective is forward_kl:
        return partial(objective, axis_name=axis_name)
    return objective  # a mean over draws, whichever device has them


def traced_options(section: Mapping[str, Any]) -> frozenset[str]:
    """Return the fields of a section "objective" that a program takes as inputs.

    >>> traced_options({"name": "alpha_divergence"}), traced_options({"name": "nca"})
    (frozenset({'alpha'}), frozenset())
    """
    known = section.get("name") in OBJECTIVES
    return traced_fields(DivergenceSettings) if known else frozenset()
