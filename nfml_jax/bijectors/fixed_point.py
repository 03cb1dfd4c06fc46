"""Inverses of triangular maps by fixed points, with implicit derivatives.

In x ← sweep(x) coordinate i depends only on coordinates of lower levels. So as many
sweeps as there are levels give the fixed point exactly, from any start (Song et al.
2021, "Accelerating feedforward computation via parallel nonlinear equation solving").
"""

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
from jax import lax

from nfml_jax.ops import control_flow
from nfml_jax.ops.broadcasting import broadcasting

Array = jax.Array


def jacobi(
    sweep: Callable[[Array], Array],
    start: Array,
    limit: int,
    tolerance: float,
    scale: Array | None = None,
) -> tuple[Array, Array]:
    """Return the fixed point of x ← sweep(x) and the number of sweeps.

    The iteration ends after `limit` sweeps, or when no element changes by more than
    `tolerance` units in the last place of the greater of x and `scale`. The default of
    `scale` is `start`.
    """
    scale = jnp.abs(start if scale is None else scale)
    unit = tolerance * jnp.finfo(start.dtype).eps

    def unfinished(state):
        _, moves, sweeps = state
        return moves & (sweeps < limit)

    def go(state):
        x, _, sweeps = state
        x = finite(x)
        new = sweep(x)
        change = jnp.abs(finite(new) - x)
        moves = (change > unit * jnp.maximum(jnp.abs(x), scale)).any()
        return new, moves, sweeps + 1

    x, _, sweeps = control_flow.while_loop(unfinished, go, (start, jnp.array(True), 0))
    return x, sweeps


@partial(jax.custom_jvp, nondiff_argnums=(0, 1, 2))
def triangular_inverse(forward, inverse, solve, weights, y):
    """Return x = inverse(weights, y), the solution of forward(weights, x, x)[0] = y.

    Args:
      forward: A function `forward(weights, before, x) -> (y, log_slopes)` of arrays
        `[..., D]`. y_i may depend on x_i, and on `before` at lower levels.
      inverse: A function `inverse(weights, y) -> x`.
      solve: A function `solve(sweep, start)` that returns the fixed point of a linear
        sweep.
      weights: A tree of arrays.
      y: The images `[..., D]`.

    Derivatives of both modes follow from the implicit function theorem. They take one
    triangular linear system, which is solved by sweeps as well.
    """
    return inverse(weights, y)


@triangular_inverse.defjvp
@broadcasting
def _implicit(forward, inverse, solve, primals, tangents):
    weights, y = primals
    x = triangular_inverse(forward, inverse, solve, weights, y)
    _, moved, log_slope = jax.jvp(
        lambda weights: forward(weights, x, x), (weights,), tangents[:1], has_aux=True
    )
    # The Jacobian: its diagonal, and the part below the diagonal.
    slope, inverse_slope = jnp.exp(log_slope), jnp.exp(-log_slope)
    _, below = jax.linearize(lambda before: forward(weights, before, x)[0], x)

    def triangular(below, right):
        start = right * inverse_slope
        return solve(lambda v: (right - below(v)) * inverse_slope, start)

    def above(v):
        return jax.linear_transpose(below, x)(v)[0]

    x_dot = lax.custom_linear_solve(
        lambda v: slope * v + below(v),
        tangents[1] - moved,
        lambda _, right: triangular(below, right),
        lambda _, right: triangular(above, right),
    )
    return x, x_dot


def finite(x: Array) -> Array:
    """Return `x` with NaN as zero, clipped to a size that networks can still process.

    Before they converge, sweeps may pass through infinities. Where a masked weight is
    zero, an infinity would reach coordinates that don't depend on it.
    """
    bound = float(jnp.finfo(x.dtype).max) ** (1 / 3)
    return jnp.clip(jnp.nan_to_num(x), -bound, bound)
