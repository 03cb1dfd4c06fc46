"""Networks that are contractions, for invertible residual blocks (Chen et al. 2019)."""

from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp

from nfml_jax.nets.convolution import conv
from nfml_jax.ops import control_flow
from nfml_jax.ops.broadcasting import broadcasting
from nfml_jax.ops.checks import check_number, check_sizes
from nfml_jax.ops.values import Value

Array = jax.Array

# The leading singular directions of each weight, from the last power iteration.
DIRECTIONS = "spectral"


class LipschitzMLP(Value):
    """Dense layers whose map x → g(x) has a Lipschitz constant below `lipschitz`.

    Each weight is divided by its spectral norm if that exceeds the layer's share. The
    norm is computed by power iteration from the direction in the collection "spectral",
    which is updated while that collection is mutable. Otherwise the iteration takes
    longer. A call returns the layers' parameters for `evaluate`, so that the iteration
    runs once for many evaluations. The context is added to the first layer's bias,
    without a bound. The last layer starts at zero.

    Attributes:
      hidden: The widths of the hidden layers.
      lipschitz: The bound of the Lipschitz constant, below 1.
      tolerance: The relative change of the norm that ends the power iteration.
    """

    hidden: tuple[int, ...] = (64, 64)
    lipschitz: float = 0.97
    tolerance: float = 1e-3

    def check_options(self):
        check_sizes(self, hidden=self.hidden)
        check_number(self, above=0.0, below=1.0, lipschitz=self.lipschitz)
        check_number(self, above=0.0, tolerance=self.tolerance)

    @property
    def event_ndim(self) -> int:
        """The number of axes of an event that the network maps."""
        return 1

    @broadcasting
    @nn.compact
    def __call__(self, features: int, context: Array | None, dtype) -> list[dict]:
        """Return the layers of a map of `features`: "kernel", "bias", inner "slope"."""
        widths = *self.hidden, features
        share = self.lipschitz ** (1 / len(widths))
        layers, size = [], features
        for i, width in enumerate(widths):
            last = i == len(widths) - 1
            init = nn.initializers.zeros if last else nn.initializers.lecun_normal()
            kernel = self.param(f"kernel_{i}", init, (size, width)).astype(dtype)
            bias = self.param(f"bias_{i}", nn.initializers.zeros, (width,))
            kernel /= jnp.maximum(1, self._norm(i, kernel) / share)
            layer = {"kernel": kernel, "bias": bias.astype(dtype)}
            if not last:
                start = nn.initializers.constant(0.5)
                layer["slope"] = self.param(f"slope_{i}", start, ()).astype(dtype)
            layers.append(layer)
            size = width
        if context is not None:
            add = nn.Dense(widths[0], use_bias=False, name="context")(context)
            layers[0]["bias"] = layers[0]["bias"] + add.astype(dtype)
        return layers

    def _norm(self, i, kernel):
        """Return the spectral norm, whose gradient takes the directions as constant."""

        def draw():
            return jax.random.normal(self.make_rng("params"), kernel.shape[:1])

        direction = self.variable(DIRECTIONS, f"direction_{i}", draw)
        fixed = jax.lax.stop_gradient(kernel)
        left, right = power_iteration(
            fixed, direction.value.astype(kernel.dtype), self.tolerance
        )
        if self.is_mutable_collection(DIRECTIONS):
            direction.value = left.astype(direction.value.dtype)
        return left @ kernel @ right


def power_iteration(matrix: Array, left: Array, tolerance: float, limit: int = 200):
    """Return unit vectors u, v with uᵀ A v close to the spectral norm of A.

    The iteration starts from u = `left`. It ends when the norm grows by less than the
    relative `tolerance`, or after `limit` steps. For A = 0, u is unchanged and v zero.
    """
    none = jnp.zeros_like(matrix[0])
    return iterate_power(
        lambda u: u @ matrix,
        lambda v: matrix @ v,
        (left, none),
        tolerance,
        limit,
        inner=jnp.matmul,
    )


def iterate_power(
    push: Callable[[Array], Array],
    pull: Callable[[Array], Array],
    start: tuple[Array, Array],
    tolerance: float,
    limit: int = 200,
    inner: Callable[[Array, Array], Array] = jnp.vdot,
) -> tuple[Array, Array]:
    """Return unit arrays u, v with ⟨push(u), v⟩ close to the norm of a linear map.

    Args:
      push: the linear map.
      pull: its transpose.
      start: u to start from, and zeros of the shape of v.
      tolerance: the relative growth of the norm below which the iteration ends.
      limit: the largest number of steps.
      inner: the inner product.
    """
    left, zero = start

    def unit(x, otherwise):
        square = (x**2).sum()
        some = square > jnp.finfo(x.dtype).tiny
        return jnp.where(some, x / jnp.sqrt(jnp.where(some, square, 1)), otherwise)

    def step(state):
        count, left, _, norm, _ = state
        right = unit(push(left), zero)
        left = unit(pull(right), left)
        return count + 1, left, right, inner(push(left), right), norm

    def unfinished(state):
        count, *_, norm, before = state
        return (count < limit) & (norm > before * (1 + tolerance))

    none = jnp.zeros((), left.dtype)
    state = step((0, unit(left, left), zero, none, none))
    return control_flow.while_loop(unfinished, step, state)[1:3]


@broadcasting
def evaluate(layers: list[dict], x: Array) -> Array:
    """Return the map of a network's layers at `x [..., features]`.

    The layers of images take and return vectors of all numbers of an image.
    """
    if layers[0]["kernel"].ndim > 2:
        return _convolve(layers, x)
    for layer in layers:
        y = jnp.einsum("...i,ij->...j", x, layer["kernel"], precision="highest")
        y = y + layer["bias"]
        x = lip_swish(y, layer["slope"]) if "slope" in layer else y
    return y


def _convolve(layers, x):
    """Return the map of a `LipschitzConv`'s layers, whose biases have all pixels."""
    batch = jnp.broadcast_shapes(batch_of(layers), x.shape[:-1])
    x = jnp.broadcast_to(x, (*batch, x.shape[-1]))
    places = layers[0]["bias"].shape[-3:-1]
    for layer in layers:
        y = conv(x.reshape(-1, *places, layer["kernel"].shape[2]), layer["kernel"])
        y = y.reshape(*batch, *y.shape[1:]) + layer["bias"]
        x = lip_swish(y, layer["slope"]) if "slope" in layer else y
    return x.reshape(*batch, -1)


def batch_of(layers: list[dict]) -> tuple[int, ...]:
    """Return the batch of the contexts that the layers depend on."""
    bias = layers[0]["bias"]
    return bias.shape[: bias.ndim - layers[0]["kernel"].ndim + 1]


def lip_swish(x: Array, slope: Array) -> Array:
    """Return x σ(β x) / 1.1, β = softplus(`slope`), whose derivative is at most 1."""
    return x * jax.nn.sigmoid(jax.nn.softplus(slope) * x) / 1.1
