"""Masked networks as pure functions: all coordinates at once, or one after another.

The parameters of coordinate i depend only on coordinates of lower levels. So an event
can be drawn with each hidden unit computed once, as soon as all its inputs are known.
The whole event then costs the arithmetic of a single pass, not of D passes.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from nfml_jax.ops import control_flow
from nfml_jax.ops.broadcasting import broadcasting

Array = jax.Array


class Layer(NamedTuple):
    """The parameters of y = ((drop ∘ x) kernel + bias) ∘ gate.

    `kernel [in, out]` is zero where it is masked. `drop` is `[..., in]` or None for
    ones, `bias` is `[..., out]`, and `gate` is `[..., out]` or None for ones.
    """

    kernel: Array
    bias: Array
    drop: Array | None = None
    gate: Array | None = None


@dataclass(frozen=True, eq=False)
class MaskedNetwork:
    """The architecture of a masked network, whose parameters are a list of `Layer`.

    Attributes:
      body: A function `body(dense, count, x)` that applies `count` layers, the l-th as
        `dense(l, x)`, and is elementwise otherwise.
      levels: The number of steps `[D]` until a coordinate's parameters are known.
      units: The same for the units of each hidden layer.
      num_params: The number of parameters of a coordinate.
      dtype: The precision of the arithmetic.
    """

    body: Callable[[Callable[[int, Array], Array], int, Array], Array]
    levels: np.ndarray
    units: Sequence[np.ndarray]
    num_params: int
    dtype: Any

    @property
    def depth(self) -> int:
        """The number of levels: D, or fewer if a graph has fewer dependencies."""
        return int(self.levels.max()) + 1

    @broadcasting
    def __call__(self, layers: Sequence[Layer], x: Array) -> Array:
        """Return the parameters of all coordinates `[..., D, num_params]`."""

        def dense(l, h):
            return _gated(layers[l], _product(_dropped(layers[l], h), layers[l].kernel))

        raw = self.body(dense, len(layers), x.astype(self.dtype))
        return raw.reshape(*raw.shape[:-1], *self.levels.shape, self.num_params)

    @broadcasting
    def draw(
        self,
        layers: Sequence[Layer],
        y: Array,
        scalar: Callable[[Array, Array], Array],
        solve: Callable[[Callable[[Array], Array], Array], Array],
        block: int = 1,
    ) -> Array:
        """Return x `[..., D]` with x_i = scalar(raw_i, y_i).

        Args:
          layers: The parameters of the network.
          y: The values `[..., D]`.
          scalar: A function of raw parameters `[..., num_params]` and y `[...]`.
          solve: A function `solve(sweep, start)` that iterates x ← sweep(x) within a
            block until nothing changes, with one iteration fewer than the block has
            levels. Each block starts from y.
          block: The number of levels in one step.
        """
        batch = y.shape[:-1]
        # Units are rows, so that each step reads and writes consecutive memory.
        y = y.reshape(-1, y.shape[-1]).T
        outputs = np.repeat(self.levels, self.num_params)
        places = [_arrange(l // block) for l in (self.levels, *self.units, outputs)]
        steps = [
            _by_step(layer, batch, ins, outs)
            for layer, ins, outs in zip(layers, places[:-1], places[1:], strict=True)
        ]

        def step(known, now):
            i, layers, y = now
            # The contribution of earlier steps to each layer.
            past = [
                _product(layer.kernel, h.reshape(-1, h.shape[-1]))
                for layer, h in zip(layers, known, strict=True)
            ]
            inside = [
                lax.dynamic_slice_in_dim(layer.kernel, i * len(h[0]), len(h[0]), 1)
                for layer, h in zip(layers, known, strict=True)
            ]

            def evaluate(x):
                seen = []

                def dense(l, h):
                    h = _dropped(layers[l], h)
                    seen.append(h)
                    return _gated(layers[l], past[l] + _product(inside[l], h))

                raw = self.body(dense, len(layers), x.astype(self.dtype))
                raw = raw.reshape(-1, self.num_params, raw.shape[-1])
                return scalar(jnp.moveaxis(raw, 1, -1), y), seen

            x = solve(lambda x: evaluate(x)[0], y) if block > 1 else y
            x, seen = evaluate(x)
            seen[0] = _dropped(layers[0], x.astype(self.dtype))
            known = [
                lax.dynamic_update_index_in_dim(all_, h, i, 0)
                for all_, h in zip(known, seen, strict=True)
            ]
            return known, x

        known = [jnp.zeros((*p.shape, y.shape[-1]), self.dtype) for p in places[:-1]]
        number = jnp.arange(len(places[0]))
        _, x = control_flow.scan(step, known, (number, steps, _take(y, places[0])))
        x = x.reshape(-1, x.shape[-1])[
            np.argsort(places[0].ravel())[: len(self.levels)]
        ]
        return x.T.reshape(*batch, -1)


# Both ways to evaluate a network must give the same values on every device.
_product = partial(jnp.matmul, precision=lax.Precision.HIGHEST)


def _dropped(layer, h):
    return h if layer.drop is None else h * layer.drop


def _gated(layer, h):
    h = h + layer.bias
    return h if layer.gate is None else h * layer.gate


def _arrange(steps: np.ndarray) -> np.ndarray:
    """Return the elements of each step `[steps, most]`, padded by the total number."""
    counts = np.bincount(steps, minlength=1)
    places = np.full((len(counts), max(counts.max(), 1)), len(steps))
    order = np.argsort(steps, kind="stable")
    within = np.arange(len(steps)) - np.repeat(np.cumsum(counts) - counts, counts)
    places[steps[order], within] = order
    return places


def _take(rows: Array, places: np.ndarray) -> Array:
    """Return `rows [n, ...]` arranged by step, with zeros where a step has fewer."""
    return jnp.pad(rows, ((0, 1), *((0, 0),) * (rows.ndim - 1)))[places]


def _by_step(layer: Layer, batch, ins, outs) -> Layer:
    """Return a layer with a leading axis of steps: its outputs there, all inputs."""

    def columns(value, places):
        if value is None:
            return None
        if value.ndim == 1:
            value = value[:, None]
        else:
            value = jnp.broadcast_to(value, (*batch, value.shape[-1]))
            value = value.reshape(-1, value.shape[-1]).T
        return _take(value, places)

    kernel, bias = _take(layer.kernel, ins), columns(layer.bias, outs)
    assert bias is not None
    kernel = _take(kernel.reshape(-1, kernel.shape[-1]).T, outs)
    return Layer(
        kernel,
        bias,
        columns(layer.drop, ins),
        columns(layer.gate, outs),
    )


def over_inputs(mask: np.ndarray) -> Callable[..., Array]:
    """Return an initializer with variance one over a unit's unmasked inputs."""
    scale = 1 / np.sqrt(np.maximum(mask.sum(0), 1))
    return lambda key, shape: jax.random.normal(key, shape) * scale
