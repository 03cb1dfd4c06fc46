"""The one place that maps a per-device step over devices.

A step is written for one device: it sees that device's share of the batch, and averages
with `lax.pmean` over `AXIS`. That is the meaning of `jax.pmap`, which since JAX 0.8 is
itself `jit` of `shard_map`. Here the two are written out, so that the replicated state
has no leading device axis and a forgotten average is an error at trace time.

Values that all devices share are replicated. A parameter that is too large for that has
a name that begins with `nfml_jax.ops.devices.SPLIT`; it is split over the devices,
together with everything that has its path: its optimizer's state and its average. The
step sees a device's share, which JAX knows to vary between devices; this is how the
code recognizes it.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.sharding import AxisType, Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from nfml_jax.errors import UserError
from nfml_jax.ops.control_flow import axes_of
from nfml_jax.ops.devices import SPLIT, Device

AXIS = "batch"
REPLICATED = P()
# A placeholder for the specs that the names of a tree's leaves give; see `specs`.
BY_NAME = "by name"

PyTree = Any


def make_mesh(devices: Sequence[Device] | None = None) -> Mesh:
    """Return a mesh over `devices` (default: all) with the one axis `AXIS`."""
    devices = jax.devices() if devices is None else list(devices)
    return jax.make_mesh(
        (len(devices),), (AXIS,), axis_types=(AxisType.Auto,), devices=devices
    )


def replicate(tree: PyTree, mesh: Mesh) -> PyTree:
    """Place the same values on every device of the mesh, without a device axis."""
    return _put(tree, jax.tree.map(lambda _: NamedSharding(mesh, P()), tree))


def place(tree: PyTree, mesh: Mesh) -> PyTree:
    """Place the values on the devices of the mesh, split where their names say so."""
    return _put(tree, jax.tree.map(lambda s: NamedSharding(mesh, s), specs(tree)))


def _put(tree, shardings):
    """Call `jax.device_put`, also for the devices of several processes.

    Each process has the complete values.
    """
    if all(s.is_fully_addressable for s in jax.tree.leaves(shardings)):
        return jax.device_put(tree, shardings)

    def put(x, sharding):
        x = np.asarray(x)
        return jax.make_array_from_callback(x.shape, sharding, lambda part: x[part])

    return jax.tree.map(put, tree, shardings)


def specs(tree: PyTree) -> PyTree:
    """Return the layout of the leaves: `P(AXIS)` for split ones, else `P()`."""

    def spec(path, leaf):
        named = any(str(getattr(key, "key", "")).startswith(SPLIT) for key in path)
        return P(AXIS) if named else P()

    return jax.tree_util.tree_map_with_path(spec, tree)


def is_replicated(tree: PyTree) -> bool:
    """Return True if no leaf has a name by which it is split; see `specs`."""
    return P(AXIS) not in _leaves(specs(tree))


def is_split(leaf: jax.Array) -> bool:
    """Return, within a step, whether this is one device's share of an array."""
    return AXIS in axes_of(leaf)


def split(batch: PyTree, mesh: Mesh) -> PyTree:
    """Return this process's rows as global arrays split over the mesh along axis 0."""
    sharding = NamedSharding(mesh, P(AXIS))
    return jax.tree.map(
        lambda x: jax.make_array_from_process_local_data(sharding, np.asarray(x)), batch
    )


def value_and_grad(loss: Callable, *, accumulate: int = 1) -> Callable:
    """Return the value and gradient of a per-device `loss`, averaged over `AXIS`.

    `loss(params, collections, batch, *rest) -> (scalar, (collections, metrics))` with a
    mean over the rows of `batch` (a pytree, `[rows, ...]`). The returned function takes
    the same arguments and gives `(value, collections, metrics, grads)`, the same on
    every device; `rest` is shared by all rows.

    With `accumulate` = k the rows are processed in k equal parts, one after the other,
    so that only one part's activations are alive: the average is the same, the memory a
    k-th.

    Parameters are cast to "varying" before differentiation: shard_map would otherwise
    sum the gradients over devices by itself, and the average would be of sums. Only
    inexact leaves of the collections are cast and averaged; integers (constants,
    counts) must be the same on all devices and stay unchanged. The gradient of a split
    parameter is the device's share of the average gradient.
    """
    differentiate = jax.value_and_grad(loss, has_aux=True)

    def averaged(params, collections, batch, *rest):
        shares = jax.tree.map(is_split, params)
        # Mutable collections are cast too: rows of one device change them.
        params, collections = varying((params, collections))
        if accumulate == 1:
            (value, (collections, metrics)), grads = differentiate(
                params, collections, batch, *rest
            )
        else:
            value, collections, metrics, grads = _accumulated(
                differentiate, params, collections, batch, rest, accumulate
            )
        collections = jax.tree.map(
            lambda x: lax.pmean(x, AXIS) if is_inexact(x) else x, collections
        )
        value, metrics = lax.pmean((value, metrics), AXIS)
        return value, collections, metrics, _averaged(grads, shares)

    return averaged


def _averaged(grads, shares):
    """Average each device's gradients to those of the devices' mean loss.

    JAX has already summed those of split parameters over the losses.
    """
    return jax.tree.map(
        lambda g, share: g / lax.axis_size(AXIS) if share else lax.pmean(g, AXIS),
        grads,
        shares,
    )


def _accumulated(differentiate, params, collections, batch, rest, parts):
    batch = jax.tree.map(
        lambda x: x.reshape(parts, x.shape[0] // parts, *x.shape[1:]), batch
    )

    def one_part(carry, part):
        total, collections = carry
        (value, (collections, metrics)), grads = differentiate(
            params, collections, part, *rest
        )
        total = jax.tree.map(jnp.add, total, grads)
        return (total, collections), (value, metrics)

    zeros = jax.tree.map(jnp.zeros_like, params)
    (total, collections), (values, metrics) = lax.scan(
        one_part, (zeros, collections), batch
    )
    grads = jax.tree.map(lambda g: g / parts, total)
    value, metrics = jax.tree.map(lambda x: x.mean(0), (values, metrics))
    return value, collections, metrics, grads


def varying(tree: PyTree) -> PyTree:
    """Cast inexact leaves, within a step, to values that vary between devices."""

    def vary(x):
        shared = is_inexact(x) and not is_split(x)
        return lax.pcast(x, AXIS, to="varying") if shared else x

    return jax.tree.map(vary, tree)


def norm(tree: PyTree) -> jax.Array:
    """Return the Euclidean norm of all leaves within a step, complete or split."""

    def squares(x):
        total = jnp.sum(jnp.abs(x) ** 2)
        return lax.psum(total, AXIS) if is_split(x) else total

    return jnp.sqrt(sum(map(squares, jax.tree.leaves(tree))))


def is_inexact(leaf: jax.Array) -> bool:
    """Return whether a leaf is floating or complex, so that devices can average it.

    Integers and random keys have no mean.
    """
    return jnp.issubdtype(leaf.dtype, jnp.inexact)


def per_device(
    step: Callable,
    mesh: Mesh,
    in_specs: Any,
    out_specs: Any = REPLICATED,
    donate: int = 0,
    checked: bool = True,
) -> Callable:
    """Compile a per-device `step` for the mesh, with the meaning of `jax.pmap`.

    `in_specs` and `out_specs` are `P()` for values that all devices share, `P(AXIS)`
    for values that are split along axis 0 (pmap's `None` and `0`), and `BY_NAME` for a
    state that is the first argument and the first result. The first `donate` arguments
    are donated: their buffers are reused for the results. Unless `checked`, JAX doesn't
    track which values vary between devices, and a forgotten average goes unnoticed, as
    in pmap; this is for steps with library loops that don't satisfy its rules.
    """

    def mapped(*args):
        named = specs(args[0])
        if not checked and not is_replicated(args[0]):
            raise UserError(
                "This model's parameters cannot be split over devices, because JAX "
                "cannot check the loops of its step; take head.summation='streamed'."
            )

        def resolved(given):
            return jax.tree.map(
                lambda spec: named if spec == BY_NAME else spec, given, is_leaf=_is_spec
            )

        return jax.shard_map(
            step,
            mesh=mesh,
            in_specs=resolved(in_specs),
            out_specs=resolved(out_specs),
            check_vma=checked,
        )(*args)

    return jax.jit(mapped, donate_argnums=tuple(range(donate)))


def _leaves(tree):
    return jax.tree.leaves(tree, is_leaf=_is_spec)


def _is_spec(x):
    return isinstance(x, P)
