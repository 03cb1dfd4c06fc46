"""Scalar transforms of single coordinates, and the parameters that drive them."""

import flax.linen as nn
import jax.numpy as jnp

from nfml_jax.bijectors.bijector import Bijector
from nfml_jax.bijectors.transforms import ScalarTransform
from nfml_jax.errors import UserError
from nfml_jax.ops.checks import check_kind


class Transformed(Bijector):
    """What bijectors have in common that drive a scalar transform."""

    transform: ScalarTransform
    conditioner: nn.Module | None = None

    def check_options(self):
        check_kind(self, ScalarTransform, transform=self.transform)
        check_kind(self, nn.Module, optional=True, conditioner=self.conditioner)

    @nn.compact
    def raw(self, inputs, context, coordinates, dtype):
        """Parameters for so many coordinates, `[..., coordinates, num_params]`.

        The conditioner's function of `inputs` and `context` where there is either, and
        learned numbers where there is neither; in the event's precision in any case.
        A transform without parameters asks neither.
        """
        shape = coordinates, self.transform.num_params
        if not self.transform.num_params:
            return jnp.zeros(shape, dtype)
        if inputs is None and context is None:
            raw = self.param("raw", nn.initializers.zeros, shape)
        else:
            check_kind(self, nn.Module, conditioner=self.conditioner)
            assert self.conditioner is not None
            raw = self.conditioner(inputs, context, shape[0] * shape[1])
            raw = raw.reshape(*raw.shape[:-1], *shape)
        return raw.astype(dtype)


class Elementwise(Transformed):
    """`transform` on each coordinate, with parameters of its own.

    They are learned numbers, or with a `conditioner` functions of the context.
    """

    def forward_and_log_det(self, x, context=None):
        y, log_det = self.transform.forward_and_log_det(self._raw(x, context), x)
        return y, log_det.sum(-1)

    def inverse_and_log_det(self, y, context=None):
        x, log_det = self.transform.inverse_and_log_det(self._raw(y, context), y)
        return x, log_det.sum(-1)

    def _raw(self, x, context):
        if self.conditioner is None:
            context = None
        elif context is None:
            raise UserError(
                "Elementwise has a conditioner but was given no context; pass "
                "`context`, or leave the conditioner out."
            )
        return self.raw(None, context, x.shape[-1], x.dtype)
