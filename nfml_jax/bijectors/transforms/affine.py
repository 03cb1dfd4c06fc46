"""Affine and additive maps of the line: RealNVP (Dinh et al. 2017), NICE (2015)."""

from dataclasses import dataclass

import jax.numpy as jnp

from nfml_jax.bijectors.transforms.transform import ScalarTransform
from nfml_jax.ops.checks import check_number


@dataclass(frozen=True)
class Affine(ScalarTransform):
    """y = x exp(s) + t, with the log-scale s within ±m, m = `max_log_scale`.

    The raw parameters are those of s and t. s = m tanh(raw / m) is close to raw near
    zero, and no layer can make the inverse blow up: its slope lies in [e⁻ᵐ, eᵐ].

    >>> raw = jnp.array([1.0, 3.0])
    >>> y, log_det = Affine().forward_and_log_det(raw, jnp.array([0.0, 1.0]))
    >>> [round(float(value), 3) for value in (*y, *log_det)]
    [3.0, 5.683, 0.987, 0.987]
    """

    max_log_scale: float = 5.0

    def check_options(self):
        check_number(self, above=0.0, max_log_scale=self.max_log_scale)

    @property
    def num_params(self) -> int:
        return 2

    @property
    def log_slope_limit(self) -> float:
        return self.max_log_scale

    def _log_scale(self, raw):
        return self.max_log_scale * jnp.tanh(raw / self.max_log_scale)

    def forward_and_log_det(self, raw, x):
        self.check_raw(raw)
        log_scale, shift = self._log_scale(raw[..., 0]), raw[..., 1]
        y = x * jnp.exp(log_scale) + shift
        return y, jnp.broadcast_to(log_scale, y.shape)

    def inverse_and_log_det(self, raw, y):
        self.check_raw(raw)
        log_scale, shift = self._log_scale(raw[..., 0]), raw[..., 1]
        x = (y - shift) * jnp.exp(-log_scale)
        return x, jnp.broadcast_to(-log_scale, x.shape)


@dataclass(frozen=True)
class Additive(ScalarTransform):
    """y = x + t, which preserves volume.

    >>> y, log_det = Additive().forward_and_log_det(jnp.array([3.0]), jnp.array(1.0))
    >>> float(y), float(log_det)
    (4.0, 0.0)
    """

    @property
    def num_params(self) -> int:
        return 1

    @property
    def log_slope_limit(self) -> float:
        return 0.0

    def forward_and_log_det(self, raw, x):
        self.check_raw(raw)
        y = x + raw[..., 0]
        return y, jnp.zeros_like(y)

    def inverse_and_log_det(self, raw, y):
        self.check_raw(raw)
        x = y - raw[..., 0]
        return x, jnp.zeros_like(x)
