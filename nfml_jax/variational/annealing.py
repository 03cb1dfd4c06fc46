"""Annealed importance sampling (Neal, Statistics and Computing 2001).

Draws of a density one can sample move through ever more of another, by Markov chains;
the weights they gather estimate its normaliser without bias, from however few steps. A
check on what a variational fit says.
"""

from collections.abc import Callable

import flax.struct
import jax
import jax.numpy as jnp

from nfml_jax.ops import control_flow

Array = jax.Array
LogDensity = Callable[[Array], Array]
# (key, log_density, x [n, D]) -> (x [n, D], probability of acceptance [n])
Transition = Callable[[Array, LogDensity, Array], tuple[Array, Array]]


@flax.struct.dataclass
class Annealed:
    """Points `[n, D]`, their log weights `[n]`, mean acceptance of each step `[T]`.

    `nfml_jax.variational.estimates` makes log Z and the effective sample size of the
    weights.
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
    """Anneals `points [n, D]`, drawn from the normalised initial density.

    `betas [T + 1]` rise from 0, the initial density, to 1, the target; between them the
    logarithms are mixed in proportion. `transition` leaves each mixture as it is. Equal
    neighbors among the betas move the points again at the same temperature. A point at
    which the target is zero weighs nothing once its weight counts the target.
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
    """`weight` times a log-density, which may be infinite; no share of it is zero."""
    return jnp.where(weight == 0, 0, weight * log_density)


def random_walk(scale: float) -> Transition:
    """Metropolis steps: normal moves of standard deviation `scale`."""

    def transition(key, log_density, x):
        move_key, accept_key = jax.random.split(key)
        proposed = x + scale * jax.random.normal(move_key, x.shape, x.dtype)
        gain = log_density(proposed) - log_density(x)
        return _accept(accept_key, x, proposed, gain)

    return transition


def hamiltonian(step_size: float, leapfrog_steps: int = 10) -> Transition:
    """Hamiltonian Monte Carlo (Neal 2011): a trajectory by leapfrog, then accepted."""

    def transition(key, log_density, x):
        momentum_key, accept_key = jax.random.split(key)
        momentum = jax.random.normal(momentum_key, x.shape, x.dtype)
        force = jax.grad(lambda x: log_density(x).sum())

        def leap(_, state):
            x, momentum = state
            x = x + step_size * momentum
            return x, momentum + step_size * force(x)

        # Half a step of momentum first and last; whole ones between positions.
        start = x, momentum + step_size / 2 * force(x)
        proposed, end = control_flow.fori_loop(0, leapfrog_steps, leap, start)
        end = end - step_size / 2 * force(proposed)
        gain = log_density(proposed) - log_density(x)
        gain += ((momentum**2).sum(-1) - (end**2).sum(-1)) / 2
        return _accept(accept_key, x, proposed, gain)

    return transition


def _accept(key, x, proposed, gain):
    """Metropolis: moves with probability exp(gain), never to where that is NaN."""
    probability = jnp.exp(jnp.minimum(jnp.where(jnp.isnan(gain), -jnp.inf, gain), 0))
    moves = jax.random.uniform(key, gain.shape, gain.dtype) < probability
    return jnp.where(moves[:, None], proposed, x), probability
