"""Deep sigmoidal flow, the transform of neural autoregressive flows.

The source is Huang et al. 2018, section 3.1, equation 8.
"""

from dataclasses import dataclass
from typing import ClassVar

import jax.numpy as jnp

from nfml_jax.bijectors.transforms.affine import Affine
from nfml_jax.bijectors.transforms.mixtures import (
    LINEAR_FROM,
    LogisticCDF,
    initial_locations,
    mixture_curve,
)
from nfml_jax.bijectors.transforms.numerical_inverse import (
    NumericallyInverted,
    with_linear_tails,
)
from nfml_jax.ops.checks import check_integer, check_number


@dataclass(frozen=True)
class DeepSigmoid(NumericallyInverted):
    """`layers` times y = logit(Σᵢ wᵢ σ(aᵢ x + bᵢ)), with `units` terms, Σ w = 1, a > 0.

    The raw parameters are, for each layer, all logits of w, all log a and all b. log a
    lies within ±`max_log_scale`. b starts evenly spread over ±`spread`, which is close
    to the identity.

    >>> transform = DeepSigmoid(units=4, layers=1)
    >>> raw = jnp.zeros(transform.num_params)
    >>> y, log_det = transform.forward_and_log_det(raw, jnp.array([0.0, 1.0]))
    >>> [round(float(value), 2) for value in y]
    [0.0, 0.99]
    """

    units: int = 8
    layers: int = 2
    max_log_scale: float = 5.0
    spread: float = 0.3

    has_identity: ClassVar[bool] = False

    def check_options(self):
        super().check_options()
        check_integer(self, 1, units=self.units, layers=self.layers)
        check_number(self, above=0.0, max_log_scale=self.max_log_scale)
        check_number(self, 0.0, spread=self.spread)

    @property
    def num_params(self) -> int:
        return 3 * self.units * self.layers

    def curve(self, raw, x):
        raw = raw.reshape(*raw.shape[:-1], self.layers, 3, self.units)

        def inside(x):
            slope = jnp.ones((), x.dtype)
            for layer in range(self.layers):
                x, layer_slope = self._layer(raw[..., layer, :, :], x)
                slope = slope * layer_slope
            return x, slope

        return with_linear_tails(inside, x, LINEAR_FROM)

    def _layer(self, raw, x):
        logits, log_scales, shifts = raw[..., 0, :], raw[..., 1, :], raw[..., 2, :]
        shifts += initial_locations(self.units, self.spread, raw.dtype)
        z, log_slopes = Affine(self.max_log_scale).forward_and_log_det(
            jnp.stack([log_scales, shifts], axis=-1), x[..., None]
        )
        return mixture_curve(LogisticCDF, logits, z, log_slopes)
