"""CDFs of mixtures, followed by the quantile function of a component.

y = G⁻¹(Σᵢ πᵢ G(zᵢ)) is an increasing map of the line, where G is the logistic CDF
(Flow++, Ho et al. 2019) or the normal CDF (Gaussianization flows, Meng et al. 2020). It
is computed from the smaller of the two tails, in the log domain, within
±`LINEAR_FROM`. Beyond, the map continues along its tangent, to which it has converged
there.
"""

import math
from dataclasses import dataclass
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jax.nn import log_softmax, softplus
from jax.scipy.special import logsumexp

from nfml_jax.bijectors.transforms.affine import Affine
from nfml_jax.bijectors.transforms.numerical_inverse import (
    NumericallyInverted,
    with_linear_tails,
)
from nfml_jax.ops import control_flow
from nfml_jax.ops.broadcasting import broadcasting
from nfml_jax.ops.checks import check_integer, check_number

Array = jax.Array

LOG_SQRT_2PI = 0.5 * math.log(2 * math.pi)
# From here on the normal's hazard is a continued fraction with this number of terms,
# which is exact to the last place in float32 and float64.
FAR, TERMS = 6.0, {"float32": 8, "float64": 20}
# Beyond, the logarithm of a normal's tail would overflow in float32.
LINEAR_FROM = 1e12


class LogisticCDF:
    """Functions of the standard logistic CDF G and its survival function S = 1 - G."""

    @staticmethod
    def centered(t):
        """Return G(t) - 1/2 up to a factor."""
        return jnp.tanh(t / 2)

    @staticmethod
    def log_survival(t):
        """Return log S(t)."""
        return -softplus(t)

    @staticmethod
    def log_hazard(t):
        """Return the logarithm of the hazard G'(t) / S(t)."""
        return -softplus(-t)

    @staticmethod
    def survival_quantile(log_s):
        """Return the t with log S(t) = log_s, where log_s is at most log 1/2."""
        return jnp.log(-jnp.expm1(log_s)) - log_s


class NormalCDF:
    """The same functions of the standard normal CDF as in `LogisticCDF`."""

    @staticmethod
    def centered(t):
        return jax.scipy.special.erf(t / math.sqrt(2))

    @staticmethod
    def log_survival(t):
        return _normal_tail(t)[0]

    @staticmethod
    def log_hazard(t):
        return _normal_tail(t)[1]

    @staticmethod
    def survival_quantile(log_s):
        return _normal_survival_quantile(log_s)


@jax.custom_jvp
def _normal_tail(t):
    """Return log Φ(-t) and the logarithm of the hazard φ(t)/Φ(-t)."""
    far, near = t > FAR, jnp.minimum(t, FAR)
    log_near = jnp.log(jax.scipy.special.erfc(near / math.sqrt(2)) / 2)
    log_hazard = jnp.log(_far_hazard(t))
    log_far = -t * t / 2 - LOG_SQRT_2PI - log_hazard
    log_near_hazard = -near * near / 2 - LOG_SQRT_2PI - log_near
    return (
        jnp.where(far, log_far, log_near),
        jnp.where(far, log_hazard, log_near_hazard),
    )


@_normal_tail.defjvp
@broadcasting
def _(primals, tangents):
    (t,), (d_t,) = primals, tangents
    log_survival, log_hazard = _normal_tail(t)
    hazard = jnp.exp(log_hazard)
    # For large t the hazard is close to t, and the difference would be lost.
    rest = jnp.where(t > FAR, _far_rest(t), hazard - t)
    return (log_survival, log_hazard), (-hazard * d_t, rest * d_t)


def _far_hazard(t):
    """Return φ(t)/Φ(-t) = t + 1/(t + 2/(t + 3/...)), Laplace's fraction, t ≥ FAR."""
    return jnp.maximum(t, FAR) + _far_rest(t)


def _far_rest(t):
    t = jnp.maximum(t, FAR)
    rest = jnp.zeros_like(t)
    for n in range(TERMS[t.dtype.name], 0, -1):
        rest = n / (t + rest)
    return rest


@jax.custom_jvp
def _normal_survival_quantile(log_s):
    """Return the t ≥ 0 with log Φ(-t) = log_s, by Newton's method.

    log Φ(-t) is concave and at most -t²/2 - log 2. So the steps start to the right of
    the solution and stay there, and five of them reach float64's last place.
    """

    def step(_, t):
        log_survival, log_hazard = _normal_tail(t)
        return t + (log_survival - log_s) / jnp.exp(log_hazard)

    start = jnp.sqrt(2 * jnp.maximum(-log_s - math.log(2), 0))
    return control_flow.fori_loop(0, 5, step, start)


@_normal_survival_quantile.defjvp
@broadcasting
def _(primals, tangents):
    t = _normal_survival_quantile(*primals)
    return t, -tangents[0] * jnp.exp(-NormalCDF.log_hazard(t))


def mixture_curve(base, logits, z, log_slopes):
    """Return y = G⁻¹(Σᵢ πᵢ G(zᵢ)) and dy/dx `[...]`.

    Args:
      base: `LogisticCDF` or `NormalCDF`.
      logits: The logits of π `[..., K]`.
      z: zᵢ(x) `[..., K]`.
      log_slopes: log dzᵢ/dx `[..., K]`.

    With qᵢ the components' shares of the survival function and h the hazard of `base`,
    the slope is Σᵢ qᵢ h(zᵢ) zᵢ' / h(y), a sum without cancellation.
    """
    log_weights = log_softmax(logits)
    # Only its sign is used; jax 0.12 can't differentiate erf on devices.
    centered = base.centered(jax.lax.stop_gradient(z))
    balance = (jnp.exp(log_weights) * centered).sum(-1)
    side = jnp.where(balance < 0, -1, 1).astype(z.dtype)
    z = side[..., None] * z
    log_parts = log_weights + base.log_survival(z)
    y = base.survival_quantile(logsumexp(log_parts, axis=-1))
    log_hazards = log_softmax(log_parts) + base.log_hazard(z) + log_slopes
    return side * y, jnp.exp(logsumexp(log_hazards, axis=-1) - base.log_hazard(y))


def initial_locations(components: int, spread: float, dtype) -> np.ndarray:
    """Return locations `[components]` at equal distances within ±`spread`.

    Components at one location would be the identity, but would get equal gradients and
    remain equal. In a fit of three peaks with 2,000 steps of Adam they never separated;
    from ±0.3 they fit the density within 500 steps.
    """
    return np.linspace(-spread, spread, components).astype(dtype)


@dataclass(frozen=True)
class Mixture(NumericallyInverted):
    """The base class of mixtures; `base` is the CDF of their components."""

    components: int = 8
    max_log_scale: float = 5.0
    spread: float = 0.3

    base: ClassVar[type]
    has_identity: ClassVar[bool] = False

    def check_options(self):
        super().check_options()
        check_integer(self, 1, components=self.components)
        check_number(self, above=0.0, max_log_scale=self.max_log_scale)
        check_number(self, 0.0, spread=self.spread)

    @property
    def num_params(self) -> int:
        return 3 * self.components + 2

    def curve(self, raw, x):
        outer, inner = raw[..., :2], raw[..., 2:]
        logits, log_scales, places = jnp.split(inner, 3, axis=-1)
        places += initial_locations(self.components, self.spread, raw.dtype)
        affine = Affine(self.max_log_scale)

        def inside(x):
            z, log_slopes = affine.inverse_and_log_det(
                jnp.stack([log_scales, places], axis=-1), x[..., None]
            )
            return mixture_curve(self.base, logits, z, log_slopes)

        y, slope = with_linear_tails(inside, x, LINEAR_FROM)
        y, log_scale = affine.forward_and_log_det(outer, y)
        return y, slope * jnp.exp(log_scale)


class MixtureOfLogistics(Mixture):
    """y = a logit(Σᵢ πᵢ σ((x - μᵢ)/sᵢ)) + b (Flow++, Ho et al. 2019, section 3.2).

    The raw parameters are log a, b, then all logits of π, all log s and all μ.
    Log-scales lie within ±`max_log_scale`. With zero parameters the slopes are within
    2 % of the identity's.

    >>> transform = MixtureOfLogistics(components=4)
    >>> raw = jnp.zeros(transform.num_params)
    >>> y, log_det = transform.forward_and_log_det(raw, jnp.array([0.0, 1.0]))
    >>> [round(float(value), 2) for value in y]
    [0.0, 0.99]
    """

    base = LogisticCDF


class MixtureOfGaussians(Mixture):
    """y = a Φ⁻¹(Σᵢ πᵢ Φ((x - μᵢ)/sᵢ)) + b (Gaussianization, Meng et al. 2020).

    With a = 1 and b = 0 it maps the mixture of normals to a standard normal. The raw
    parameters are those of `MixtureOfLogistics`.

    >>> transform = MixtureOfGaussians(components=4)
    >>> raw = jnp.zeros(transform.num_params)
    >>> y, log_det = transform.forward_and_log_det(raw, jnp.array([0.0, 1.0]))
    >>> [round(float(value), 2) for value in y]
    [0.0, 0.98]
    """

    base = NormalCDF
