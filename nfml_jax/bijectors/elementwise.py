"""Scalar transforms of single coordinates, and the source of their parameters."""

import math

import flax.linen as nn
import jax.numpy as jnp

from nfml_jax.bijectors.bijector import OnLastAxis
from nfml_jax.bijectors.transforms import ScalarTransform
from nfml_jax.errors import UserError
from nfml_jax.ops.checks import check_kind


class Transformed(OnLastAxis):
    """The base class of bijectors that apply a scalar transform to coordinates.

    Attributes:
      transform: The scalar transform.
      conditioner: A module that computes the transform's parameters, such as `MLP`. It
        is called as `conditioner(inputs, context, features)`.
    """

    transform: ScalarTransform
    conditioner: nn.Module | None = None

    def check_options(self):
        check_kind(self, ScalarTransform, transform=self.transform)
        check_kind(self, nn.Module, optional=True, conditioner=self.conditioner)

    @nn.compact
    def raw(self, inputs, context, event, dtype):
        """Return the parameters of coordinates, `[..., D, num_params]`.

        They are the conditioner's output where there are `inputs` or a `context`, and
        learned numbers where there is neither: one set for each coordinate of `event`,
        a shape that ends with D. They have the precision `dtype`. For a transform
        without parameters the conditioner is not called.
        """
        shape = event[-1], self.transform.num_params
        if not self.transform.num_params:
            return jnp.zeros(shape, dtype)
        if inputs is None and context is None:
            shape = (*event, self.transform.num_params)
            raw = self.param("raw", nn.initializers.zeros, shape)
        else:
            check_kind(self, nn.Module, conditioner=self.conditioner)
            assert self.conditioner is not None
            raw = self.conditioner(inputs, context, shape[0] * shape[1])
            raw = raw.reshape(*raw.shape[:-1], *shape)
        return raw.astype(dtype)


class Elementwise(Transformed):
    """A scalar transform of each coordinate, with parameters for each.

    The parameters are learned numbers, or functions of the context if there is a
    `conditioner`. A conditioner without a context raises UserError.

    For images (`event_ndim=3`) learned numbers differ between pixels and channels, and
    those of a conditioner between channels, and between pixels if the context is a
    feature map. As a part of a chain of images, `Elementwise` with `event_ndim=1` has
    the same learned numbers at all pixels.

    >>> from nfml_jax.bijectors import Tanh
    >>> x = jnp.array([[0.0, 0.5, 1.0]])
    >>> y, log_det = Elementwise(Tanh()).apply({}, x)
    >>> [round(float(value), 3) for value in y[0]], round(float(log_det[0]), 3)
    ([0.0, 0.462, 0.762], -1.108)
    """

    def forward_and_log_det(self, x, context=None):
        y, log_det = self.transform.forward_and_log_det(self._raw(x, context), x)
        return y, log_det.sum(-1)

    def inverse_and_log_det(self, y, context=None):
        x, log_det = self.transform.inverse_and_log_det(self._raw(y, context), y)
        return x, log_det.sum(-1)

    @nn.nowrap
    def log_det_limit(self, shape):
        return math.prod(shape) * self.transform.log_slope_limit

    def _raw(self, x, context):
        if self.conditioner is None:
            context = None
        elif context is None:
            raise UserError(
                "Elementwise has a conditioner but was given no context; pass "
                "`context`, or leave the conditioner out."
            )
        event = x.shape[x.ndim - self.event_ndim :]
        return self.raw(None, context, event, x.dtype)
