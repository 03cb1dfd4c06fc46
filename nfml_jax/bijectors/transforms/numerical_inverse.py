"""The numerical inverse of increasing functions without one in closed form.

It is Newton's method inside a bracket, for a whole batch at once. The gradient is that
of the implicit function theorem, so that no loop is differentiated.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from nfml_jax.bijectors.transforms.transform import LINE, Interval, ScalarTransform
from nfml_jax.ops import control_flow
from nfml_jax.ops.broadcasting import broadcasting
from nfml_jax.ops.checks import check_number

Array = jax.Array

# A step this small, in units in the last place of max(1, |x|), is the last one.
TOLERANCE = 2
# Halving alone takes a bracket of 10⁵ to float64's last place in 70 steps.
MAX_STEPS = 128


@partial(jax.custom_jvp, nondiff_argnums=(0, 3))
def increasing_inverse(
    function: Callable[[Any, Array], tuple[Array, Array]],
    parameters: Any,
    y: Array,
    domain: Interval = LINE,
) -> Array:
    """Return the x with f(x) = y, to a few units in the last place of max(1, |x|).

    Args:
      function: A function `function(parameters, x) -> (f(x), log f'(x))`, increasing in
        x. It closes over no traced arrays and is hashable, such as a method of a frozen
        dataclass.
      parameters: A tree of arrays.
      y: The values `[...]`.
      domain: The line, or a bounded interval on which f takes the value y.

    The accuracy of x is limited by that of f. Derivatives of any order, forward or
    reverse, follow from ∂x = (∂y - ∂f) / f'(x).
    """
    shape = jax.eval_shape(function, parameters, y)[0].shape
    y = jnp.broadcast_to(y, shape)
    lower, upper = (jnp.full_like(y, end) for end in domain)
    start = y if domain == LINE else (lower + upper) / 2
    tolerance = TOLERANCE * jnp.finfo(y.dtype).eps
    most = float(jnp.finfo(y.dtype).max)

    def measure(x):
        value, log_slope = function(parameters, x)
        return y - value, (y - value) * jnp.exp(-log_slope)

    def step(state):
        # The gap is carried around the loop instead of being used where it is computed.
        # XLA could compute it twice, rounded to different signs, and spoil the bracket.
        count, active, x, move, (gap, newton), lower, upper = state
        lower = jnp.where(gap > 0, x, lower)
        upper = jnp.where(gap < 0, x, upper)
        # Steps grow until the root is passed; then they halve the bracket.
        half = jnp.abs(lower / 2 + upper / 2 - x)
        half = jnp.where(jnp.isfinite(half), half, jnp.inf)
        search = jnp.sign(gap) * jnp.minimum(half, 4 * jnp.abs(move))
        # Newton's step is taken if it is inside and short enough. (False for NaN.)
        inside = (lower <= x + newton) & (x + newton <= upper)
        quick = jnp.abs(newton) <= 0.75 * jnp.abs(move)
        move = jnp.where(inside & quick, newton, search)
        # Beyond the greatest number, nothing could be halved any more.
        x = jnp.where(active, jnp.clip(x + move, -most, most), x)
        going = jnp.abs(move) > tolerance * jnp.maximum(1, jnp.abs(x))
        return count + 1, active & going, x, move, measure(x), lower, upper

    def unfinished(state):
        return (state[0] < MAX_STEPS) & state[1].any()

    active = jnp.ones(shape, bool)
    state = 0, active, start, 1 + jnp.abs(start), measure(start), lower, upper
    return control_flow.while_loop(unfinished, step, state)[2]


@increasing_inverse.defjvp
@broadcasting
def _implicit_function_theorem(function, domain, primals, tangents):
    (parameters, y), (d_parameters, d_y) = primals, tangents
    x = increasing_inverse(function, parameters, y, domain)
    (_, log_slope), (d_f, _) = jax.jvp(
        lambda parameters: function(parameters, x), (parameters,), (d_parameters,)
    )
    return x, (d_y - d_f) * jnp.exp(-log_slope)


@dataclass(frozen=True)
class NumericallyInverted(ScalarTransform):
    """Maps f(x) = (1 - ε) g(x) + ε x of the line, with a numerical inverse.

    A subclass implements the `curve` g. The small ε = `min_slope` bounds the slope of f
    from below, so that no parameters can make the inverse or its gradient infinite. It
    has the role of the least derivative in neural spline flows.
    """

    min_slope: float = field(default=1e-3, kw_only=True)

    def check_options(self):
        check_number(self, above=0.0, below=1.0, min_slope=self.min_slope)

    def curve(self, raw: Array, x: Array) -> tuple[Array, Array]:
        """Return g(x) and g'(x) ≥ 0."""
        raise NotImplementedError

    def forward_and_log_det(self, raw, x):
        self.check_raw(raw)
        y, slope = self.curve(raw, x)
        rest = 1 - self.min_slope
        y = rest * y + self.min_slope * x
        return y, jnp.log(rest * slope + self.min_slope)

    def inverse_and_log_det(self, raw, y):
        x = increasing_inverse(self.forward_and_log_det, raw, y, self.domain)
        return x, -self.forward_and_log_det(raw, x)[1]


def with_linear_tails(
    curve: Callable[[Array], tuple[Array, Array]], x: Array, bound: float
) -> tuple[Array, Array]:
    """Return y and slope of `curve` within ±bound, and of its tangents beyond."""
    # A gradient of zero by selection: far out, a product with zero would be NaN.
    nearest = jax.lax.stop_gradient(jnp.clip(x, -bound, bound))
    inside = jnp.where(jnp.abs(x) > bound, nearest, x)
    y, slope = curve(inside)
    return y + (x - inside) * slope, slope
