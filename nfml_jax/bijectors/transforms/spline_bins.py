"""Bins of splines: the positions of their knots, and the bin that contains a point.

Everything is a formula of whole arrays with bins on the first axis. The bins' sizes are
any positive numbers, and only their ratios count. A bin's two edges are knots, so that
values computed from their difference agree with the neighboring bins. Derivatives are
in closed form, so that a training step spends its time in the network, not here.
"""

from functools import partial

import jax
import jax.numpy as jnp
from jax import lax
from jax.experimental.layout import Layout, with_layout_constraint

from nfml_jax.ops.broadcasting import broadcasting

Array = jax.Array

# The gradient stores only a tangent's arguments, and recomputes the rest. Otherwise it
# would store several arrays, such as masks over all bins, which also took a sixth of
# the time to compile a training step.
recomputed = partial(jax.checkpoint, prevent_cse=False)


def bins_first(raw: Array, x: Array):
    """Return `raw [..., P]` and `x [...]` in a fast layout, and a function to undo it.

    The parameters come first and the batch, the longest axis, last: `[P, ..., N]` and
    `[..., N]`, so that vector instructions run along points. Where parameters have no
    batch axes, all events share them.
    """
    shape = jnp.broadcast_shapes(raw.shape[:-1], x.shape)
    lacking = len(shape) - (raw.ndim - 1)
    leading = lacking or max(len(shape) - 1, 1)
    x = jnp.broadcast_to(x, shape).reshape(-1, *shape[leading:])
    if lacking:
        raw = raw[None]
    else:
        raw = jnp.broadcast_to(raw, (*shape, raw.shape[-1]))
        raw = raw.reshape(-1, *shape[leading:], raw.shape[-1])
    raw = _with_gradient_in_memory(raw.transpose(-1, *range(1, raw.ndim - 1), 0))

    def restore(y: Array) -> Array:
        return jnp.moveaxis(y, -1, 0).reshape(shape)

    return raw, jnp.moveaxis(x, 0, -1), restore


@jax.custom_jvp
def _with_gradient_in_memory(raw: Array) -> Array:
    """Return `raw`, whose gradient is written to memory before it is transposed.

    XLA would fuse that transposition with all the arithmetic before it, and access
    memory with large strides: the gradient took three times as long.
    """
    return raw


@_with_gradient_in_memory.defjvp
@broadcasting
def _(primals, tangents):
    return primals[0], _written(tangents[0])


def _written(x: Array) -> Array:
    """Return the tangent `x`, whose transpose, the gradient, is written to memory here.

    XLA would fuse it with the masks over bins that follow, and compute it again for
    each bin.
    """
    return with_layout_constraint(x, Layout(tuple(range(x.ndim))))


def _of_each_point(values: Array, index: Array) -> Array:
    """Return `values [K, ...]` for each point, where all points share one spline.

    The gradient then sums the terms of a point before it sums over points.
    """
    shape = len(values), *index.shape
    if values.shape == shape:
        return values
    return _written(jnp.broadcast_to(values, shape))


def exponentials(logits: Array) -> Array:
    """Return positive sizes `[K, ...]` in the ratios of a softmax."""
    return jnp.exp(logits - lax.stop_gradient(logits.max(0)))


def fractions(sizes: Array, least: float) -> Array:
    """Return the sizes' shares of their sum, each at least `least`: `[K, ...]`."""
    return least + (1 - len(sizes) * least) * (sizes / sizes.sum(0))


@partial(jax.custom_jvp, nondiff_argnums=(2, 3))
def find_bin(
    sizes: Array, x: Array, bound: float, least: float
) -> tuple[Array, Array, Array]:
    """Return the number of the bin that contains `x`, and its edges, all `[...]`.

    Args:
      sizes: The bins' relative widths `[K, ...]` over [-bound, bound]. The outermost
        edges are exactly ±bound.
      x: The points `[...]`. A point on a knot belongs to the bin above it.
      bound: Half the length of the interval.
      least: The smallest share of a bin.

    Returns:
      The bin's number, its lower and its upper edge.
    """
    knots = _inner_knots(sizes, bound, least)
    below = knots <= x
    # A float, as the tangent of an integer has a type of its own, which shard_map does
    # not know how to vary over devices.
    return below.sum(0).astype(sizes.dtype), *_nearest(knots, below, bound)


@partial(jax.custom_jvp, nondiff_argnums=(2, 3))
def bin_edges(
    sizes: Array, index: Array, bound: float, least: float
) -> tuple[Array, Array]:
    """Return the lower and upper edge of bin `index [...]`; see `find_bin`."""
    knots = _inner_knots(sizes, bound, least)
    return _nearest(knots, _numbers(knots) < index, bound)


@find_bin.defjvp
@broadcasting
def _(bound, least, primals, tangents):
    index, *edges = find_bin(*primals, bound, least)
    moves = _edges_tangent(bound, least, primals[0], tangents[0], index, *edges)
    return (index, *edges), (jnp.zeros_like(index), *moves)


@bin_edges.defjvp
@broadcasting
def _(bound, least, primals, tangents):
    edges = bin_edges(*primals, bound, least)
    return edges, _edges_tangent(
        bound, least, primals[0], tangents[0], primals[1], *edges
    )


@jax.custom_jvp
def pick_ends(values: Array, index: Array) -> tuple[Array, Array]:
    """Return the `values [K + 1, ...]` of the knots at both ends of bin `index`."""
    at_ends = _at_ends(values, index)
    return _reduce(at_ends, (0, 0), (jnp.add, jnp.add))


@pick_ends.defjvp
@broadcasting
def _(primals, tangents):
    return pick_ends(*primals), _ends_tangent(tangents[0], primals[1])


@recomputed
def _ends_tangent(d_values, index):
    lower, upper = _at_ends(_of_each_point(d_values, index), index)
    return _written(lower.sum(0)), _written(upper.sum(0))


def _inner_knots(sizes, bound, least):
    """Return the edges between bins, `[K - 1, ...]`."""
    total = jnp.cumsum(sizes, 0)
    free = 2 * bound * (1 - len(sizes) * least)
    start = 2 * bound * least * (_numbers(sizes)[:-1] + 1) - bound
    return total[:-1] * (free / total[-1]) + start.astype(sizes.dtype)


def _nearest(knots, below, bound):
    """Return the greatest knot below and the least one above, or the ends."""
    candidates = jnp.where(below, knots, -bound), jnp.where(below, bound, knots)
    return _reduce(candidates, (-bound, bound), (jnp.maximum, jnp.minimum))


@partial(recomputed, static_argnums=(0, 1))
def _edges_tangent(bound, least, sizes, d_sizes, index, lower, upper):
    """Return the tangents of both edges, given those of the sizes.

    An edge is 2B (least·k + (1 - K least) Σ_{j<k} size_j / Σ) - B. The division comes
    last, so that the gradient is divided and then written once for each point.
    """
    d_sizes = _of_each_point(d_sizes, index)
    total, d_total = sizes.sum(0), d_sizes.sum(0)
    free = 1 - len(sizes) * least

    def move(edge, number):
        d_below = jnp.where(_numbers(sizes) < number, d_sizes, 0).sum(0)
        share = (edge + bound) / (2 * bound) - least * number
        return 2 * bound * (_written(free * d_below - share * d_total) / total)

    return move(lower, index), move(upper, index + 1)


def _at_ends(values, index):
    number = _numbers(values)
    return (
        jnp.where(number == index, values, 0),
        jnp.where(number == index + 1, values, 0),
    )


def _numbers(values):
    """Return 0, 1, 2, ... along the first axis."""
    return jnp.arange(len(values)).reshape(-1, *(1,) * (values.ndim - 1))


def _reduce(pair, start, functions):
    """Reduce two arrays along their first axis in one pass.

    On the CPU that is several times faster than one after the other.
    """
    start = tuple(jnp.asarray(s, p.dtype) for s, p in zip(start, pair, strict=True))

    def both(one, other):
        return tuple(f(a, b) for f, a, b in zip(functions, one, other, strict=True))

    return tuple(lax.reduce(pair, start, both, (0,)))
