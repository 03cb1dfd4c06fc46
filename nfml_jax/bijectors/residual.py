"""Invertible residual blocks (Behrmann et al. 2019), residual flows (Chen et al. 2019).

In y = x + g(x) the network g is a contraction. So the inverse is a fixed point, and the
log-determinant is a power series in the Jacobian of g.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import ClassVar

import flax.linen as nn
import jax
import jax.numpy as jnp

from nfml_jax.bijectors.bijector import Bijector
from nfml_jax.bijectors.fixed_point import jacobi
from nfml_jax.nets.lipschitz import LipschitzMLP, batch_of, evaluate
from nfml_jax.ops import control_flow
from nfml_jax.ops.broadcasting import broadcasting
from nfml_jax.ops.checks import check_integer, check_kind, check_number
from nfml_jax.ops.events import at_places

Array = jax.Array

# The change that ends the inverse, in units in the last place, and its most sweeps.
TOLERANCE = 4
MAX_SWEEPS = 2000


@dataclass(frozen=True)
class TruncatedSeries:
    """The first `terms` terms of the series, a biased estimator.

    >>> import jax
    >>> terms, weight = TruncatedSeries(terms=5).draw(jax.random.key(0))
    >>> terms, float(weight(jnp.float32(5)))
    (5, 1.0)
    """

    terms: int = 10

    def __post_init__(self):
        check_integer(self, 1, terms=self.terms)

    def draw(self, key: Array) -> tuple[int, Callable[[Array], Array]]:
        """Return the number of terms, and a function from k to the weight of term k."""
        return self.terms, jnp.ones_like


@dataclass(frozen=True)
class Roulette:
    """A random number of terms, an unbiased estimator (Chen et al. 2019, theorem 1).

    The first `exact` terms are always computed. After these and each later term the
    series ends with probability `stop`. A later term is divided by the probability that
    it is computed.

    >>> import jax
    >>> terms, weight = Roulette(exact=2, stop=0.5).draw(jax.random.key(0))
    >>> [float(weight(jnp.float32(k))) for k in (1, 2, 3, 4)]
    [1.0, 1.0, 2.0, 4.0]
    """

    exact: int = 2
    stop: float = 0.5

    def __post_init__(self):
        check_integer(self, 0, exact=self.exact)
        check_number(self, above=0.0, below=1.0, stop=self.stop)

    def draw(self, key):
        more = jax.random.geometric(key, self.stop) - 1
        return (
            self.exact + more,
            lambda k: (1 - self.stop) ** -jnp.maximum(k - self.exact, 0.0),
        )


class Residual(Bijector):
    """y = x + g(x), where g is a network with a Lipschitz constant below one.

    The log-determinant is exact, and takes D passes of g's derivative, where an event
    has D numbers. If a "log_det" key is given (`rngs={"log_det": key}`), it is
    estimated from one random direction. In training, make the collection "spectral"
    mutable, so that the network's power iteration continues from the last step. The
    block starts as the identity.

    Attributes:
      net: The network g: a `LipschitzMLP` for vectors, a `LipschitzConv` for images.
      estimator: `Roulette` or `TruncatedSeries`, the estimator of the log-determinant.

    >>> layer, x = Residual(LipschitzMLP(hidden=(8,))), jnp.array([[0.0, 0.5, 1.0]])
    >>> variables = layer.init(jax.random.key(0), x)
    >>> y, log_det = layer.apply(variables, x)
    >>> y.tolist(), log_det.tolist()
    ([[0.0, 0.5, 1.0]], [0.0])
    """

    estimates: ClassVar[bool] = True

    # A new module for each block, as one module in two places shares its weights.
    net: LipschitzMLP = field(default_factory=LipschitzMLP)
    estimator: TruncatedSeries | Roulette = Roulette()

    def check_options(self):
        check_kind(self, LipschitzMLP, net=self.net)
        check_kind(self, TruncatedSeries | Roulette, estimator=self.estimator)

    @property
    def event_ndim(self):
        return self.net.event_ndim

    def forward_and_log_det(self, x, context=None):
        layers, flat = self._layers(x, context)
        y = flat + evaluate(layers, flat)
        return y.reshape(x.shape), self._log_det(layers, flat)

    def inverse_and_log_det(self, y, context=None):
        layers, flat = self._layers(y, context)
        x = residual_inverse(layers, flat)
        return x.reshape(y.shape), -self._log_det(layers, x)

    @nn.nowrap
    def log_det_limit(self, shape):
        # Eigenvalues of the Jacobian are within L of 1.
        return -math.prod(shape) * math.log1p(-self.net.lipschitz)

    def _layers(self, x, context):
        """Return the network's layers, and events as vectors of all their numbers."""
        ndim = self.event_ndim
        if ndim == 1:
            return self.net(x.shape[-1], context, x.dtype), x
        context = at_places(context, x, ndim)
        *batch, height, width, channels = x.shape
        layers = self.net(channels, context, x.dtype, (height, width))
        return layers, x.reshape(*batch, -1)

    def _log_det(self, layers, x):
        if self.has_rng("log_det") and not self.is_initializing():
            key = self.make_rng("log_det")
            return estimated_log_det(layers, x, key, self.estimator)
        return exact_log_det(layers, x)


def exact_log_det(layers, x: Array) -> Array:
    """Return log det(I + ∂g/∂x) `[...]` from the Jacobian, column by column."""
    unit = jnp.eye(x.shape[-1], dtype=x.dtype)
    column = partial(jax.jvp, partial(evaluate, layers), (x,))
    jacobian = jax.vmap(
        lambda e: column((jnp.broadcast_to(e, x.shape),))[1], out_axes=-1
    )(unit)
    return jnp.linalg.slogdet(unit + jacobian)[1]


def estimated_log_det(
    layers, x: Array, key: Array, estimator: TruncatedSeries | Roulette
) -> Array:
    """Return an estimate `[...]` of log det(I + J) = Σ (-1)ᵏ⁺¹ tr(Jᵏ) / k.

    The traces are tr(Jᵏ) = E[vᵀ Jᵏ v]. The gradient is that of E[vᵀ (Σ (-J)ᵏ) ∂J v],
    the Neumann series (Chen et al. 2019, theorem 2). The series itself is not
    differentiated.
    """
    number, noise = jax.random.split(key)
    shape = jnp.broadcast_shapes(x.shape, batch_of(layers) + x.shape[-1:])
    x = control_flow.vary_as(jnp.broadcast_to(x, shape), layers)
    v = control_flow.vary_as(jax.random.rademacher(noise, x.shape, x.dtype), x)
    count, weight = estimator.draw(number)
    fixed = jax.lax.stop_gradient((layers, x))
    _, pull = jax.vjp(partial(evaluate, fixed[0]), fixed[1])

    def term(i, state):
        power, value, neumann = state
        k = jnp.asarray(i + 1, x.dtype)
        (power,) = pull(-power)
        value -= weight(k) / k * (power * v).sum(-1)
        return power, value, neumann + weight(k) * power

    value = jnp.zeros(x.shape[:-1], x.dtype)
    _, value, neumann = control_flow.fori_loop(0, count, term, (v, value, v))
    value, neumann = jax.lax.stop_gradient((value, neumann))
    _, along = jax.jvp(partial(evaluate, layers), (x,), (v,))
    gradient = (neumann * along).sum(-1)
    return value + gradient - jax.lax.stop_gradient(gradient)


@jax.custom_jvp
def residual_inverse(layers, y: Array) -> Array:
    """Return the fixed point of x ← y - g(x); its gradient solves a linear system."""
    shape = jax.eval_shape(evaluate, layers, y).shape
    y = jnp.broadcast_to(y, shape)
    return _fixed_point(lambda x: y - evaluate(layers, x), y)


@residual_inverse.defjvp
@broadcasting
def _implicit(primals, tangents):
    layers, y = primals
    x = residual_inverse(layers, y)
    _, moved = jax.jvp(lambda layers: evaluate(layers, x), (layers,), tangents[:1])
    _, times = jax.linearize(partial(evaluate, layers), x)

    def transposed(v):
        return jax.linear_transpose(times, x)(v)[0]

    def solve(times, right):
        return _fixed_point(lambda v: right - times(v), right)

    x_dot = jax.lax.custom_linear_solve(
        lambda v: v + times(v),
        tangents[1] - moved,
        lambda _, right: solve(times, right),
        lambda _, right: solve(transposed, right),
    )
    return x, x_dot


def _fixed_point(sweep, start):
    size = jnp.abs(start).max(-1, keepdims=True)
    return jacobi(sweep, start, MAX_SWEEPS, TOLERANCE, size)[0]
