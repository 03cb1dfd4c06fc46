"""Objectives that fit a flow q to a density known but for its normaliser, and checks.

The density p̃ is given by its logarithm, `log_density(x [n, D]) -> [n]`; Z = ∫ p̃ and
p = p̃ / Z. An objective is `(q, log_density, variables, key, n) -> loss`, a scalar in
nats estimated from n draws, to be differentiated in `variables`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
from jax import lax

from nfml_jax.errors import UserError
from nfml_jax.ops.fields import traced_fields
from nfml_jax.ops.names import look_up
from nfml_jax.ops.settings import Settings, setting

Array = jax.Array
LogDensity = Callable[[Array], Array]


@flax.struct.dataclass
class Approximation:
    """A density q by two pure functions of its variables.

    `sample_and_log_prob(variables, key, n)` gives draws `[n, D]`, differentiable in the
    variables, and their log-densities `[n]`; `log_prob(variables, x)` those of any
    points. `key` may be n keys, one for each draw: then a draw doesn't depend on which
    others are drawn with it, as in a batch that devices share. Where draws are not
    differentiable, `sample_with_score` gives their score too, as that method of `Flow`.
    """

    sample_and_log_prob: Callable[[Any, Array, int], tuple[Array, Array]] = (
        flax.struct.field(pytree_node=False)
    )
    log_prob: Callable[[Any, Array], Array] = flax.struct.field(pytree_node=False)
    sample_with_score: (
        Callable[[Any, Array, int], tuple[Array, Array, Array]] | None
    ) = flax.struct.field(pytree_node=False, default=None)


def approximation_of(flow) -> Approximation:
    """A `nfml_jax.flows.Flow` without context as an approximation."""

    def drawing(method):
        def draw(variables, key, n):
            if jnp.issubdtype(key.dtype, jax.dtypes.prng_key) and key.ndim:
                one = partial(flow.apply, method=method)
                return jax.vmap(one, (None, 0))(variables, key)
            return flow.apply(variables, key, (n,), method=method)

        return draw

    def log_prob(variables, x):
        return flow.apply(variables, x, method="log_prob")

    differentiable = getattr(flow.base, "has_path", True)
    return Approximation(
        drawing("sample_and_log_prob"),
        log_prob,
        None if differentiable else drawing("sample_with_score"),
    )


def reverse_kl(
    q: Approximation, log_density: LogDensity, variables, key: Array, n: int
) -> Array:
    """E_q[log q - log p̃] = KL(q ‖ p) - log Z, the negative evidence lower bound.

    Differentiated through the draws (Rezende and Mohamed 2015); where they carry no
    gradient, by their score, with the mean of the other draws as its baseline.
    """
    x, log_q, score = _draws(q, variables, key, n)
    gains = log_q - log_density(x)
    return jnp.mean(gains) + _by_score(gains, score)


def path_gradient(
    q: Approximation, log_density: LogDensity, variables, key: Array, n: int
) -> Array:
    """`reverse_kl` in value, with the gradient along the draws' paths alone.

    Its expectation is the same, and it vanishes for every draw once q = p: "sticking
    the landing" (Roeder et al., NeurIPS 2017). Takes the flow's inverse too.
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
    """E_p[log p̃ - log q] = KL(p ‖ q) + log Z, by self-normalised importance weights.

    Draws of q itself are weighted by p̃ / q. The estimate and its gradient have a bias
    of order 1 / n, which is large where q misses part of p. Takes the flow's inverse.
    With `axis_name` the draws are those of all its devices, n on each. If no draw has
    any weight the loss is infinite, with gradients of zero.
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
    """Rényi's D_α(q ‖ p) - log Z = -log E_q[(p̃ / q)^(1 - α)] / (1 - α).

    Li and Turner (NeurIPS 2016). As α nears 1 it is `reverse_kl`; α = 0 gives the
    importance-weighted bound, α = 2 goes with χ²(q ‖ p). UserError for α = 1. With
    `axis_name` the draws are those of all its devices, n on each. The divergence is
    infinite where no draw has any weight (α < 1), or where p̃ is zero at a draw (α > 1).
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
    """Draws, their log-densities, and their score, or None where they have a path."""
    if q.sample_with_score is None:
        return *q.sample_and_log_prob(variables, key, n), None
    return q.sample_with_score(variables, key, n)


def _by_score(gains, score):
    """Zero, whose gradient is that of the mean gain by the choice of the draws."""
    if score is None:
        return 0.0
    others = (gains.sum() - gains) / max(gains.size - 1, 1)
    weights = lax.stop_gradient(gains - others) / gains.size
    return (weights * (score - lax.stop_gradient(score))).sum()


def _shares(log_weights, axis_name):
    """Weights of mean one over all devices' draws, and the log of what they were.

    Constants to differentiation. What is averaged with them is averaged over devices
    as any loss is, and exact then.
    """
    log_weights = lax.stop_gradient(log_weights)
    largest = log_weights.max()
    if axis_name is not None:
        largest = lax.pmax(largest, axis_name)
    weights = _relative(log_weights, largest)
    total = jnp.mean(weights)
    if axis_name is not None:
        total = lax.pmean(total, axis_name)
    shares = jnp.where(total > 0, weights / total, 0)
    return shares, jnp.log(total) + largest


def _relative(log_weights, largest):
    """Return exp(`log_weights` - `largest`), and 0 where no weight is above 0."""
    below = jnp.where(log_weights == largest, 0, log_weights - largest)
    return jnp.where(log_weights == -jnp.inf, 0, jnp.exp(below))


def _check(alpha):
    if not isinstance(alpha, Array) and alpha == 1:  # a traced one is not known yet
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
    """The section "objective" of a flow that is fitted to an energy."""

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
        """Whether importance weights are normalized over all draws of a batch."""
        return self.name in WHOLE_BATCH


def make_objective(
    settings: DivergenceSettings, *, axis_name: str | None = None
) -> Callable:
    """Return the objective of `settings`.

    `axis_name` is the device axis that a step is mapped over, if it is.
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


def log_weights(
    q: Approximation,
    log_density: LogDensity,
    variables,
    key: Array,
    n: int,
    *,
    chunk: int = 8192,
) -> Array:
    """log (p̃ / q) `[n]` at n draws of q, computed `chunk` at a time."""
    chunk = min(chunk, n)
    keys = jax.random.split(key, -(-n // chunk))

    def one(key):
        x, log_q = q.sample_and_log_prob(variables, key, chunk)
        return log_density(x) - log_q

    return lax.map(one, keys).reshape(-1)[:n]


@partial(jax.jit, static_argnames="log_z")
def estimates(weights: Array, log_z: float | None = None) -> dict[str, Array]:
    """What log importance weights `[n]` of draws of q tell, in nats.

    `elbo`, their mean; `log_z`, log of the mean weight; each with its standard error
    `…_error`; `ess`, the effective sample size (Σw)² / Σw² as a share of n. Where the
    true `log_z` is known, `kl` = KL(q ‖ p) with its error, too. An estimate of log Z
    with a small `ess`, or by a q that misses part of p, is too low, and its error
    doesn't show it. Draws of no weight make `elbo` minus infinity and its error
    infinite; if no draw has any weight, so is `log_z`, and `ess` is 0.
    """
    n, largest = weights.shape[0], weights.max()
    some = largest != -jnp.inf
    share = _relative(weights, largest)
    mean, square = share.mean(), (share**2).mean()
    elbo, elbo_error = weights.mean(), weights.std(ddof=1) / jnp.sqrt(n)
    elbo_error = jnp.where(jnp.isinf(elbo), jnp.inf, elbo_error)
    log_z_error = jnp.sqrt((square / mean**2 - 1) / (n - 1))
    found = {
        "elbo": elbo,
        "elbo_error": elbo_error,
        "log_z": jnp.log(mean) + largest,
        "log_z_error": jnp.where(some, log_z_error, jnp.inf),
        "ess": jnp.where(some, mean**2 / square, 0),
    }
    if log_z is not None:
        found |= {"kl": log_z - elbo, "kl_error": elbo_error}
    return found
