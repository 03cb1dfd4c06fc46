"""The log-determinant of each part of a flow, and its upper bound.

A coupling whose scale is bounded can only stretch space so far. Many that are close to
their limit say that the flow lacks layers, or a wider bound.
"""

import contextlib
import math
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import numpy as np
from flax import struct

from nfml_jax.bijectors.bijector import DIRECTIONS, Bijector
from nfml_jax.bijectors.combinators import Chain, Inverse, ShapePreserving
from nfml_jax.bijectors.stack import INTERMEDIATES, Stack

Array = jax.Array

MADE_OF_OTHERS = (Chain, Inverse, ShapePreserving)
SOWN = "log_det"


@struct.dataclass
class LogDetPart:
    """The log-determinant of one part of a flow, from data to base.

    Attributes:
      name: The shape of the events inside, the number of the step in each `Stack`, and
        the class of the bijector: "14×14×4/step 3/Coupling".
      log_det: The log-determinant in nats, `[*batch]`.
      limit: The most nats that |log_det| can be for such an event; infinite where the
        map has no bound.
      scale: The shape of the events inside, which is that of a scale of images.
    """

    log_det: Array
    name: str = struct.field(pytree_node=False)
    limit: float = struct.field(pytree_node=False)
    scale: tuple[int, ...] = struct.field(pytree_node=False)

    @property
    def used(self) -> Array:
        """The fraction of the limit that each event uses, `[*batch]`; 0 without one."""
        return abs(self.log_det) / self.limit


class _Leaf(NamedTuple):
    """A part seen while a flow is traced."""

    path: tuple[str, ...]
    order: tuple[int, ...]  # the place in the flow, with -1 for the step of a stack
    stacks: tuple[tuple[int, bool], ...]  # the length, and whether the last is first
    shape: tuple[int, ...]
    kind: str
    limit: float


class Recorder:
    """An interceptor of bijectors' methods that notes the log-determinant of each.

    Attributes:
      batch_ndim: The number of batch axes of the events.
      leaves: The parts by their path within the flow.
    """

    def __init__(self, batch_ndim: int):
        self.batch_ndim = batch_ndim
        self.leaves: dict[tuple[str, ...], _Leaf] = {}
        self._orders: dict[tuple[str, ...], int] = {}
        self._trail: list[int] = []
        self._stacks: list[tuple[int, bool]] = []
        self._inside = False

    def __call__(self, call, args, kwargs, context):
        module, method = context.module, context.method_name
        if self._inside or method not in DIRECTIONS or not isinstance(module, Bijector):
            return call(*args, **kwargs)
        with self._entered(module, DIRECTIONS[method]):
            y, log_det = call(*args, **kwargs)
        if not isinstance(module, MADE_OF_OTHERS):
            self._note(module, args[0], log_det, DIRECTIONS[method])
        return y, log_det

    @contextlib.contextmanager
    def _entered(self, module, inverse):
        """Keep the place in the flow while a bijector runs."""
        trail, stacks = [*self._trail], [*self._stacks]
        # A loop may be traced twice; the first time counts.
        self._trail.append(self._orders.setdefault(module.path, len(self._orders)))
        if isinstance(module, Stack):
            self._trail.append(-1)
            self._stacks.append((module.length, inverse))
        self._inside = not isinstance(module, MADE_OF_OTHERS)
        yield
        self._trail, self._stacks, self._inside = trail, stacks, False

    def _note(self, module, x, log_det, inverse):
        places = tuple(range(self.batch_ndim, log_det.ndim))
        shape = x.shape[self.batch_ndim :]
        ndim = module.event_ndim_out if inverse else module.event_ndim
        outside = math.prod(shape[: len(shape) - ndim])
        event = shape[len(shape) - ndim :]
        event = module.inverse_shape(event) if inverse else event
        limit = module.log_det_limit(event)
        if not limit:
            return
        module.sow(
            INTERMEDIATES,
            SOWN,
            log_det.sum(places),
            init_fn=lambda: 0.0,
            reduce_fn=lambda total, more: total + more,
        )
        order = (*self._trail, self._orders[module.path])
        kind = type(module).__name__
        leaf = _Leaf(module.path, order, (*self._stacks,), shape, kind, outside * limit)
        self.leaves.setdefault(module.path, leaf)


def log_det_parts(
    flow: nn.Module,
    variables,
    x: Array,
    context: Array | None,
    event_ndim: int,
    rngs: dict[str, Array] | None = None,
) -> list[LogDetPart]:
    """Return the parts of `flow.to_base(x, context)`, in the order from data to base.

    Parts that preserve volume are left out.
    """
    recorder = Recorder(x.ndim - event_ndim)
    with nn.intercept_methods(recorder):
        _, found = flow.apply(
            variables,
            x,
            context,
            rngs=rngs,
            method="to_base",
            mutable=[INTERMEDIATES],
        )
    rows = []
    for leaf in recorder.leaves.values():
        value: Any = found[INTERMEDIATES]
        for name in (*leaf.path, SOWN):
            value = value[name]
        rows += _steps(leaf, value)
    rows.sort(key=lambda row: row[0])
    return _named([part for _, part in rows])


def _steps(leaf, value):
    """Yield the order and the part of each step of the stacks that a leaf is in."""
    for steps in np.ndindex(*(length for length, _ in leaf.stacks)):
        ran = [
            n - 1 - step if last_first else step
            for step, (n, last_first) in zip(steps, leaf.stacks, strict=True)
        ]
        rest = iter(ran)
        order = tuple(next(rest) if n == -1 else n for n in leaf.order)
        sizes = "×".join(map(str, leaf.shape))
        name = "/".join([sizes, *(f"step {step + 1}" for step in steps), leaf.kind])
        yield order, LogDetPart(value[steps], name, leaf.limit, leaf.shape)


def _named(parts):
    """Return the parts with a number for the second and later ones of a name."""
    seen: dict[str, int] = {}
    for number, part in enumerate(parts):
        seen[part.name] = count = seen.get(part.name, 0) + 1
        if count > 1:
            parts[number] = part.replace(name=f"{part.name} {count}")
    return parts
