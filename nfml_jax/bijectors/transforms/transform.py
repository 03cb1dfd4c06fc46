"""What a scalar transform is: a family of increasing maps of an interval.

A transform knows nothing of networks. Its parameters come as one array of unconstrained
numbers, so any structure and any conditioner can drive any family.
"""

from typing import ClassVar

import jax
import jax.numpy as jnp

from nfml_jax.errors import UserError
from nfml_jax.ops.values import freeze

Array = jax.Array
Interval = tuple[float, float]

LINE: Interval = (-float("inf"), float("inf"))


class ScalarTransform:
    """A family of increasing, differentiable maps, one for each `raw [num_params]`.

    Subclasses are frozen dataclasses of pure functions. `raw [..., num_params]` and
    `x`, `y [...]` broadcast over their leading axes; log-derivatives have their shape.
    Zero parameters give the identity wherever the family has it. Whatever `raw` is, the
    results and their gradients are finite on the whole domain.
    """

    domain: ClassVar[Interval] = LINE
    codomain: ClassVar[Interval] = LINE
    has_identity: ClassVar[bool] = True

    def __post_init__(self):
        freeze(self)
        self.check_options()

    def check_options(self) -> None:
        """Raise UserError for fields that make no transform."""

    def check_raw(self, raw: Array) -> None:
        """Raise UserError unless the last axis of `raw` has `num_params` numbers."""
        shape = jnp.shape(raw)
        if not shape or shape[-1] != self.num_params:
            raise UserError(
                f"{type(self).__name__} got parameters of shape {list(shape)}; "
                f"expected {self.num_params} of them on the last axis."
            )

    @property
    def num_params(self) -> int:
        """How many unconstrained numbers make one member of the family."""
        raise NotImplementedError

    def forward_and_log_det(self, raw: Array, x: Array) -> tuple[Array, Array]:
        """y = f(x) and log f'(x)."""
        raise NotImplementedError

    def inverse_and_log_det(self, raw: Array, y: Array) -> tuple[Array, Array]:
        """x = f⁻¹(y) and log (f⁻¹)'(y)."""
        raise NotImplementedError
