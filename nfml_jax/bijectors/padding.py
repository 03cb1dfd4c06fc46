"""Padding and cropping: images of a size that a flow's squeezes divide.

Both are surjections. `nfml_jax.evaluation.bits_per_dim.Ledger` takes the count of
numbers that they add or drop, `numbers(shape)`, as `padded` or `cropped`.
"""

import math

import flax.linen as nn
import jax
import jax.numpy as jnp

from nfml_jax.bijectors.surjection import Surjection, draws, event_sum
from nfml_jax.errors import UserError
from nfml_jax.ops.broadcasting import broadcasting
from nfml_jax.ops.checks import check_choice, check_integer, refuse
from nfml_jax.ops.precision import at_least_float32

Array = jax.Array

NOISE = ("normal", "uniform", "logit_normal")
HALF_LOG_2PI = 0.5 * math.log(2 * math.pi)


class Border(Surjection):
    """The base class of surjections that add or drop a border of an image.

    Attributes:
      rows: The number of rows of the border. Half of them are above the image, and an
        odd one is below.
      columns: The number of columns of the border, likewise.
    """

    rows: int = 0
    columns: int = 0

    def check_options(self):
        check_integer(self, 0, rows=self.rows, columns=self.columns)
        if self.event_ndim != 3:
            refuse(self, "event_ndim", self.event_ndim, "3, the axes of an image")

    @nn.nowrap
    def numbers(self, shape: tuple[int, int, int]) -> int:
        """Return the count of numbers in the border of an image `[H, W, C]`."""
        height, width, channels = shape
        outer = (height + self.rows) * (width + self.columns)
        return (outer - height * width) * channels

    @nn.nowrap
    def greater(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Return the shape of images `[H, W, C]` with a border."""
        height, width, channels = shape
        return height + self.rows, width + self.columns, channels

    @nn.nowrap
    def smaller(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Return the shape of images `[H, W, C]` without their border."""
        height, width, channels = shape
        return height - self.rows, width - self.columns, channels

    @nn.nowrap
    def _added(self, x):
        """Return `x` in a border of zeros."""
        sides = [(n // 2, n - n // 2) for n in (self.rows, self.columns)]
        return jnp.pad(x, [(0, 0)] * (x.ndim - 3) + [*sides, (0, 0)])

    @nn.nowrap
    def _dropped(self, x):
        """Return `x` without the border."""
        height, width = (
            size - border
            for size, border in zip(x.shape[-3:-1], self._sizes, strict=True)
        )
        if height < 1 or width < 1:
            raise UserError(
                f"{type(self).__name__} drops {self.rows} rows and {self.columns} "
                f"columns, and got images of {x.shape[-3]}×{x.shape[-2]} pixels; "
                "expected more of both."
            )
        top, left = (border // 2 for border in self._sizes)
        return x[..., top : top + height, left : left + width, :]

    @property
    def _sizes(self):
        return self.rows, self.columns

    @nn.nowrap
    def _drawn(self, draw, key, x):
        """Return `x` in a border of draws, and where the border is `[H, W, 1]`."""
        if key is None:
            raise UserError(
                f"{type(self).__name__} draws a border and was given no key; pass "
                "key=KEY."
            )
        inside = self._added(jnp.ones((*x.shape[-3:-1], 1), bool))
        y = self._added(x)
        noise = draws(key, y.shape, lambda key, shape: draw(key, shape, y.dtype))
        return jnp.where(inside, y, noise), ~inside


class Pad(Border):
    """A border around the data that the model sees, drawn for each image.

    The inverse, from data to base, adds a border of noise with density q and the term
    -log q, so the density of images is bounded from below. The bound is exact if the
    model makes the border independent noise of this kind. Forward drops the border.

    Attributes:
      noise: "normal" for standard normal noise, for a model of numbers on the line such
        as logits; "uniform" for noise in [0, 1), for a model of pixels there; or
        "logit_normal" for noise in (0, 1) whose logits are standard normal, which a
        model of pixels with a `PixelSigmoid` can make of its base without an error.

    >>> pad = Pad(rows=4, columns=4)
    >>> z, term = pad.apply({}, jnp.zeros((2, 28, 28, 1)), key=jax.random.key(0))
    >>> z.shape, term.shape, pad.numbers((28, 28, 1))
    ((2, 32, 32, 1), (2,), 240)
    """

    noise: str = "normal"

    def check_options(self):
        super().check_options()
        check_choice(self, NOISE, noise=self.noise)

    @nn.nowrap
    def forward_shape(self, shape):
        return self.smaller(shape)

    @nn.nowrap
    def inverse_shape(self, shape):
        return self.greater(shape)

    @nn.nowrap
    def inverse_context(self, context):
        return self._added(context)

    @broadcasting
    def inverse_and_log_det(self, x, context=None, key=None):
        kinds = {"normal": jax.random.normal, "uniform": jax.random.uniform}
        draw = kinds.get(self.noise, _logit_normal)
        z, border = self._drawn(draw, key, at_least_float32(x))
        return z, -self._log_density(z, border)

    @broadcasting
    def forward_and_log_det(self, z, context=None, key=None):
        z = at_least_float32(z)
        x = self._dropped(z)
        border = ~self._added(jnp.ones((*x.shape[-3:-1], 1), bool))
        return x, self._log_density(z, border)

    @broadcasting
    def middle(self, x):
        x = at_least_float32(x)
        inside = self._added(jnp.ones((*x.shape[-3:-1], 1), bool))
        mean = 0.0 if self.noise == "normal" else 0.5
        return jnp.where(inside, self._added(x), mean)

    def _log_density(self, z, border):
        """Return the log-density of the noise in the border of `z`, `[*batch]`."""
        if self.noise == "normal":
            each = -0.5 * z**2 - HALF_LOG_2PI
        elif self.noise == "logit_normal":
            # What lies outside (0, 1) is no noise of this kind.
            within = (z > 0) & (z < 1)
            safe = jnp.where(within, z, 0.5)
            log_z, log_rest = jnp.log(safe), jnp.log1p(-safe)
            each = -0.5 * (log_z - log_rest) ** 2 - HALF_LOG_2PI - log_z - log_rest
            each = jnp.where(within, each, -jnp.inf)
        else:
            each = jnp.where((z >= 0) & (z < 1), 0.0, -jnp.inf).astype(z.dtype)
        return event_sum(jnp.where(border, each, 0), 3)


def _logit_normal(key, shape, dtype):
    return jax.nn.sigmoid(jax.random.normal(key, shape, dtype))


class Crop(Border):
    """A border of the data that the model doesn't see: uniform noise in [0, 1).

    The inverse, from data to base, drops the border. Its term is zero, the log-density
    of uniform noise, so the density of images is exact. Forward draws a border by a
    `key`. Pixels x in {0, ..., K - 1} of the border cost log K each: in the term of a
    `Dequantize` of the whole image, else as `cropped` of the ledger.

    >>> crop = Crop(rows=1, columns=2)
    >>> z, term = crop.apply({}, jnp.ones((2, 5, 6, 3)))
    >>> z.shape, term.tolist(), crop.numbers(z.shape[1:])
    ((2, 4, 4, 3), [0.0, 0.0], 42)
    """

    @property
    def exact(self):
        return True

    @nn.nowrap
    def forward_shape(self, shape):
        return self.greater(shape)

    @nn.nowrap
    def inverse_shape(self, shape):
        return self.smaller(shape)

    @nn.nowrap
    def inverse_context(self, context):
        return self._dropped(context)

    @broadcasting
    def inverse_and_log_det(self, x, context=None, key=None):
        x = at_least_float32(x)
        return self._dropped(x), jnp.zeros(x.shape[:-3], x.dtype)

    @broadcasting
    def middle(self, x):
        return self._dropped(at_least_float32(x))

    @broadcasting
    def forward_and_log_det(self, z, context=None, key=None):
        x, _ = self._drawn(jax.random.uniform, key, at_least_float32(z))
        return x, jnp.zeros(x.shape[:-3], x.dtype)
