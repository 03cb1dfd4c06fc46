"""Annealed importance sampling (Neal, Statistics and Computing 2001).

Points are drawn from a density that can be sampled. Markov chains move them through
densities that approach another one, the target. The weights that they accumulate
estimate the target's normalizer without bias, for any number of steps. So the method
checks the results of a variational fit.
"""

from collections.abc import Callable

import flax.struct
import jax
import jax.numpy as jnp

from nfml_jax.ops import control_flow
from nfml_jax.variational.approximation import LogDensity

Array = jax.Array
# (key, log_density, x [n, D]) -> (x [n, D], probability of acceptance [n])
Transition = Callable[[Array, LogDensity, Array], tuple[Array, Array]]


@flax.struct.dataclass
class Annealed:
    """The points and weights of annealed importance sampling.

    Attributes:
      points: The points `[n, D]` after the last step.
      log_weights: Their log weights `[n]`, from which `estimates` computes log Z and
        the effective sample size.
      acceptance: The mean acceptance probability `[T]` of each step.
    """

    points: Array
    log_weights: Array
    acceptance: Array


def annealed_importance_sampling(
    key: Array,
    points: Array,
    log_initial: LogDensity,
    log_target: LogDensity,
    transition: Transition,
    betas: Array,
) -> Annealed:
    """Return points annealed from an initial density to a target, and their weights.

    Args:
      key: A random key.
      points: Points `[n, D]` drawn from the initial density.
      log_initial: The log-density of the initial density, which is normalized.
      log_target: The log-density of the target, up to a constant.
      transition: A Markov kernel that leaves each mixture invariant, such as
        `random_walk` or `hamiltonian`.
      betas: Weights `[T + 1]` that rise from 0, the initial density, to 1, the target.
        Between them the log-densities are mixed in proportion. Equal neighbors move the
        points again at the same temperature.

    Returns:
      An `Annealed`. The weight of a point is zero where the target is zero.

    >>> def log_normal(x):
    ...     return -(x**2).sum(-1) / 2 - jnp.log(2 * jnp.pi)
    >>> key = jax.random.key(0)
    >>> points = jax.random.normal(key, (8, 2))
    >>> betas = jnp.linspace(0.0, 1.0, 3)
    >>> annealed = annealed_importance_sampling(
    ...     key, points, log_normal, log_normal, random_walk(0.5), betas)
    >>> annealed.points.shape, annealed.log_weights.tolist() == [0.0] * 8
    ((8, 2), True)
    """

    def step(carry, inputs):
        points, log_weights = carry
        before, after, key = inputs

        def log_mixture(x):
            return _share(1 - after, log_initial(x)) + _share(after, log_target(x))

        target = log_target(points)
        gain = jnp.where(target == -jnp.inf, target, target - log_initial(points))
        log_weights += _share(after - before, gain)
        points, accepted = transition(key, log_mixture, points)
        return (points, log_weights), accepted.mean()

    betas = jnp.asarray(betas, points.dtype)
    keys = jax.random.split(key, len(betas) - 1)
    start = points, jnp.zeros(points.shape[0], points.dtype)
    (points, log_weights), accepted = control_flow.scan(
        step, start, (betas[:-1], betas[1:], keys)
    )
    return Annealed(points, log_weights, accepted)


def _share(weight, log_density):
    """Return `weight` times a log-density, and zero for a zero weight of infinity."""
    return jnp.where(weight == 0, 0, weight * log_density)


def random_walk(scale: float) -> Transition:
    """Return a transition of Metropolis steps, normal moves with deviation `scale`.

    >>> transition, key = random_walk(0.5), jax.random.key(0)
    >>> x, probability = transition(key, lambda x: -(x**2).sum(-1), jnp.zeros((8, 2)))
    >>> x.shape, probability.shape
    ((8, 2), (8,))
    """

    def transition(key, log_density, x):
        move_key, accept_key = jax.random.split(key)
        proposed = x + scale * jax.random.normal(move_key, x.shape, x.dtype)
        gain = log_density(proposed) - log_density(x)
        return _accept(accept_key, x, proposed, gain)

    return transition


def hamiltonian(step_size: float, leapfrog_steps: int = 10) -> Transition:
    """Return a transition of Hamiltonian Monte Carlo (Neal 2011).

    It takes `leapfrog_steps` of size `step_size`, and accepts or rejects their end.

    >>> transition, key = hamiltonian(0.1, leapfrog_steps=2), jax.random.key(0)
    >>> x, probability = transition(key, lambda x: -(x**2).sum(-1), jnp.zeros((8, 2)))
    >>> x.shape, probability.shape
    ((8, 2), (8,))
    """

    def transition(key, log_density, x):
        momentum_key, accept_key = jax.random.split(key)
        momentum = jax.random.normal(momentum_key, x.shape, x.dtype)
        force = jax.grad(lambda x: log_density(x).sum())

        def leap(_, state):
            x, momentum = state
            x = x + step_size * momentum
            return x, momentum + step_size * force(x)

        # The momentum takes half a step first and last, and full steps in between.
        start = x, momentum + step_size / 2 * force(x)
        proposed, end = control_flow.fori_loop(0, leapfrog_steps, leap, start)
        end = end - step_size / 2 * force(proposed)
        gain = log_density(proposed) - log_density(x)
        gain += ((momentum**2).sum(-1) - (end**2).sum(-1)) / 2
        return _accept(accept_key, x, proposed, gain)

    return transition


def _accept(key, x, proposed, gain):
    """Return moved points and their probability, exp(gain); zero for a NaN gain."""
    probability = jnp.exp(jnp.minimum(jnp.where(jnp.isnan(gain), -jnp.inf, gain), 0))
    moves = jax.random.uniform(key, gain.shape, gain.dtype) < probability
    return jnp.where(moves[:, None], proposed, x), probability
