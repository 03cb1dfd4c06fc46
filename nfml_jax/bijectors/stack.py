"""Stacks of identical layers in one loop, and the memory that their gradients take."""

import zlib
from collections.abc import Callable, Sequence
from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp

from nfml_jax.bijectors.bijector import Bijector, apply_in, zero_log_det
from nfml_jax.bijectors.combinators import PRESERVES, Chain, ShapePreserving
from nfml_jax.ops import control_flow
from nfml_jax.ops.checks import DEEPEST, check_choice, check_integer, check_kind, refuse
from nfml_jax.ops.events import is_map

INTERMEDIATES = "intermediates"
MEMORY = ("keep", "remat", "invert")


class Stack(ShapePreserving):
    """A stack of identical layers, each with its own parameters and constants.

    The layers run in one `lax.scan`, so that the compile time doesn't grow with their
    number. All variables have a leading axis `[length, ...]`. Where the collection
    "intermediates" is mutable, it receives the events after each layer.

    Attributes:
      layer: The bijector that is repeated. It preserves the event's shape.
      length: The number of layers.
      memory: What is stored for the gradient:

        - "keep": all activations of all layers. This is the fastest.
        - "remat": the events between layers. A layer's activations are computed again.
        - "invert": the last events alone, so that memory doesn't grow with `length`.
        The events before a layer are computed from those after it by its inverse,
        and its activations again, at once in a `Chain`: a gradient takes four passes
        of a coupling's network where "keep" takes three. The layer needs an inverse
        in closed form, as couplings, `ActNorm` and linear maps have. Only
        reverse-mode derivatives exist. A call with mutable variables in the layer
        stores as "remat" does.

    >>> import jax
    >>> import jax.numpy as jnp
    >>> from nfml_jax.bijectors import LU
    >>> stack = Stack(LU(), length=2)
    >>> variables = stack.init(jax.random.key(0), jnp.zeros((1, 3)))
    >>> variables["params"]["layer"]["triangles"].shape
    (2, 3, 3)
    """

    layer: Bijector
    length: int
    memory: str = "keep"

    def check_options(self):
        check_kind(self, Bijector, layer=self.layer)
        check_integer(self, 1, DEEPEST, length=self.length)
        check_choice(self, MEMORY, memory=self.memory)
        self.check_part(layer=self.layer)

    @property
    def event_ndim(self):
        return self.layer.event_ndim

    @nn.nowrap
    def forward_shape(self, shape):
        if self.layer.forward_shape(shape) != shape:
            refuse(self, "layer", self.layer, PRESERVES)
        return shape

    def mapped(self, x, context, *, inverse):
        if self.memory == "invert" and not self.is_initializing():
            layer, variables = self.layer.unbind()
            changing = {INTERMEDIATES, *variables}
            if not any(map(self.is_mutable_collection, changing)):
                return self._invertible(layer, variables, x, context, inverse)
        return self._scan(x, context, inverse=inverse)

    def _scan(self, x, context, *, inverse):
        def one(layer, x, _):
            step = layer.inverse_and_log_det if inverse else layer.forward_and_log_det
            x, log_det = step(x, context)
            # Stored only where the collection is mutable.
            layer.sow(INTERMEDIATES, "event", x, init_fn=tuple, reduce_fn=_latest)
            return x, log_det

        if self.memory != "keep":
            one = nn.remat(one, prevent_cse=False)
        scan = nn.scan(
            one,
            variable_axes={True: 0},
            split_rngs={True: True},
            length=self.length,
            reverse=inverse,
        )
        x, log_dets = scan(self.layer, x, None)
        return x, log_dets.sum(0)

    def _invertible(self, layer, variables, x, context, inverse):
        """Return the map of all layers, whose gradient inverts them one by one."""
        names = set(self.scope.rngs if self.scope is not None else ()) - {"params"}
        keys = {
            name: jax.random.split(self.make_rng(name), self.length) for name in names
        }
        leaves, structure = jax.tree.flatten(variables)
        trained = [jnp.issubdtype(leaf.dtype, jnp.inexact) for leaf in leaves]
        # A feature map follows the parts of a layer, which `Chain` knows.
        whole = is_map(context, x, self.event_ndim)
        parts = [(layer, None)] if whole else _parts(layer)

        def call(part, back, numbers, fixed, x, context):
            bijector, name = part
            numbers, (others, keys) = iter(numbers), fixed
            others = iter(others)
            given = [next(numbers) if is_ else next(others) for is_ in trained]
            given = jax.tree.unflatten(structure, given)
            if name is not None:
                given = {kind: t[name] for kind, t in given.items() if name in t}
                # Parts that are alike don't draw alike.
                number = zlib.crc32(name.encode())
                keys = {n: jax.random.fold_in(k, number) for n, k in keys.items()}
            bound, ndim = bijector.bind(given, rngs=keys), self.event_ndim
            return apply_in(bound, x, context, ndim, inverse=inverse != back)

        numbers = [a for a, is_ in zip(leaves, trained, strict=True) if is_]
        others = [a for a, is_ in zip(leaves, trained, strict=True) if not is_]
        # The devices of a mesh add up their gradients of what they share.
        numbers, context = control_flow.vary_as((numbers, context), (x, context))
        ways = [(partial(call, p, False), partial(call, p, True)) for p in parts]
        return scan_by_inverting(
            ways[::-1] if inverse else ways,
            numbers,
            (others, keys),
            x,
            context,
            event_ndim=self.event_ndim,
            reverse=inverse,
        )


def _parts(layer: Bijector) -> list[tuple[Bijector, str | None]]:
    """Return the bijectors of a layer with their names in it, or the layer itself.

    Each is undone by itself, so that a network is evaluated once for the inverse of its
    coupling and for the gradient: the compiler sees the same inputs in both.
    """
    found = layer.bijectors if isinstance(layer, Chain) else ()
    preserve = all(part.event_ndim == part.event_ndim_out for part in found)
    # One module in two places has the name of the first.
    if not found or not preserve or len({*map(id, found)}) < len(found):
        return [(layer, None)]
    return [(part, f"bijectors_{number}") for number, part in enumerate(found)]


def scan_by_inverting(
    parts: Sequence[tuple[Callable, Callable]],
    numbers,
    fixed,
    x,
    context,
    *,
    event_ndim: int,
    reverse: bool,
):
    """Scan layers of some parts; the gradient computes events again by their inverses.

    Args:
      parts: For each part of a layer, in the order that they are applied, a function
        `(numbers, fixed, x, context) -> (y, log_det)`, and its inverse alike.
      numbers: A tree of all layers' floats, `[length, ...]`, that have gradients.
      fixed: A tree of all layers' other numbers, `[length, ...]`.
      x: The events `[*batch, *event]`.
      context: The context of all layers, or None.
      event_ndim: The number of axes of an event.
      reverse: If true, the last layer comes first.

    Returns:
      The events after all layers, and the sum of the log-determinants `[*batch]`.
    """

    @jax.custom_vjp
    def run(numbers, fixed, x, context):
        def one(state, layer):
            x, total = state
            for step, _ in parts:
                x, log_det = step(*layer, x, context)
                total += log_det
            return (x, total), None

        start = x, zero_log_det(x, event_ndim)
        return control_flow.scan(one, start, (numbers, fixed), reverse=reverse)[0]

    def forward(numbers, fixed, x, context):
        y, total = run(numbers, fixed, x, context)
        return (y, total), (numbers, fixed, y, context)

    def backward(stored, cotangents):
        numbers, fixed, y, context = stored
        y_bar, total_bar = cotangents

        def one(state, layer):
            numbers, fixed = layer
            y, y_bar, context_bar = state
            numbers_bar = jax.tree.map(jnp.zeros_like, numbers)
            for step, undo in reversed(parts):
                y, y_bar, *more = _pulled(step, undo, numbers, fixed, y, y_bar)
                added = jax.tree.map(jnp.add, (numbers_bar, context_bar), tuple(more))
                numbers_bar, context_bar = added
            return (y, y_bar, context_bar), numbers_bar

        def _pulled(step, undo, numbers, fixed, y, y_bar):
            """Return x, and the cotangents of x, of the numbers and of the context."""
            x, _ = undo(numbers, fixed, y, context)
            _, pull = jax.vjp(
                lambda numbers, x, context: step(numbers, fixed, x, context),
                numbers,
                x,
                context,
            )
            numbers_bar, x_bar, context_bar = pull((y_bar, total_bar))
            return x, x_bar, numbers_bar, context_bar

        start = y, y_bar, jax.tree.map(jnp.zeros_like, context)
        (_, x_bar, context_bar), numbers_bar = control_flow.scan(
            one, start, (numbers, fixed), reverse=not reverse
        )
        return numbers_bar, None, x_bar, context_bar

    run.defvjp(forward, backward)
    return run(numbers, fixed, x, context)


def _latest(_, new):
    return new
