"""Unconstrained monotone network: an integral of a positive network.

The source is Wehenkel & Louppe 2019 (UMNN). Here the weights of the small network are
the raw parameters, so that it is a scalar transform like any other.
"""

from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np

from nfml_jax.bijectors.transforms.integrals import Integral, clenshaw_curtis
from nfml_jax.ops.checks import check_integer, check_number, refuse


@dataclass(frozen=True)
class MonotoneNetwork(Integral):
    """y = b + ∫₀ˣ f(t) dt, where log f is a network with one hidden layer.

    log f(t) = m tanh(n(t) / m), n(t) = c + Σⱼ tanh(wⱼ) tanh(sⱼ (t - tⱼ)), where m is
    `max_log_slope`. The raw parameters are b, c, then all w, log s and t. The hidden
    units start at equal distances within ±`bound`, and their weights at zero, where
    f = 1.

    `nodes`, an odd number, is the number of nodes of the quadrature. Weights and slopes
    are bounded: with four nodes for each hidden unit, and raw parameters of standard
    deviation 5, the error of the value was at most 10⁻⁶ of the largest value within
    ±bound.

    >>> transform = MonotoneNetwork(hidden=4, nodes=17)
    >>> raw = jnp.zeros(transform.num_params)
    >>> y, log_det = transform.forward_and_log_det(raw, jnp.array([0.0, 1.0]))
    >>> [round(float(value), 3) for value in y]
    [0.0, 1.0]
    """

    hidden: int = 8
    nodes: int = 33
    max_log_slope: float = 5.0

    def check_options(self):
        super().check_options()
        check_integer(self, 1, hidden=self.hidden)
        check_number(self, above=0.0, max_log_slope=self.max_log_slope)
        check_integer(self, 3, nodes=self.nodes)
        if self.nodes % 2 == 0:
            refuse(self, "nodes", self.nodes, "an odd number of at least 3")

    @property
    def num_params(self) -> int:
        return 3 * self.hidden + 2

    def rule(self):
        return clenshaw_curtis(self.nodes)

    def density(self, raw, t):
        level, raw = raw[..., 0], raw[..., 1:]
        weights, log_slopes, shifts = jnp.split(raw, 3, axis=-1)
        places = self.bound * np.linspace(-1, 1, self.hidden + 2)[1:-1]
        gap = 2 * self.bound / (self.hidden + 1)
        # The slopes are at most what the quadrature resolves.
        slopes = jnp.exp(jnp.tanh(log_slopes)) / gap
        units = jnp.tanh(slopes * (t[..., None] - places.astype(t.dtype) - shifts))
        network = level + (jnp.tanh(weights) * units).sum(-1)
        return jnp.exp(self.max_log_slope * jnp.tanh(network / self.max_log_slope))
