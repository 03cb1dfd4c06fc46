"""Stacks of identical layers in one loop, and the memory that their gradients take."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from nfml_jax.bijectors.bijector import DIRECTIONS, Bijector, zero_log_det
from nfml_jax.bijectors.combinators import PRESERVES, ShapePreserving
from nfml_jax.ops import control_flow
from nfml_jax.ops.checks import DEEPEST, check_choice, check_integer, check_kind, refuse

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
          and its activations again. The layer needs an inverse in closed form, as
          couplings, `ActNorm` and linear maps have. Only reverse-mode derivatives
          exist. A call with mutable variables in the layer stores as "remat" does.

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
        there, back = sorted(DIRECTIONS, reverse=inverse)  # forward, inverse
        names = set(self.scope.rngs if self.scope is not None else ()) - {"params"}
        keys = {
            name: jax.random.split(self.make_rng(name), self.length) for name in names
        }
        leaves, structure = jax.tree.flatten(variables)
        trained = [jnp.issubdtype(leaf.dtype, jnp.inexact) for leaf in leaves]

        def call(method, numbers, fixed, x, context):
            numbers, (others, keys) = iter(numbers), fixed
            others = iter(others)
            given = [next(numbers) if is_ else next(others) for is_ in trained]
            variables = jax.tree.unflatten(structure, given)
            return layer.apply(variables, x, context, method=method, rngs=keys)

        numbers = [a for a, is_ in zip(leaves, trained, strict=True) if is_]
        others = [a for a, is_ in zip(leaves, trained, strict=True) if not is_]
        # The devices of a mesh add up their gradients of what they share.
        numbers, context = control_flow.vary_as((numbers, context), (x, context))
        return scan_by_inverting(
            lambda *layer: call(there, *layer),
            lambda *layer: call(back, *layer)[0],
            numbers,
            (others, keys),
            x,
            context,
            event_ndim=self.event_ndim,
            reverse=inverse,
        )


def scan_by_inverting(
    step, undo, numbers, fixed, x, context, *, event_ndim: int, reverse: bool
):
    """Scan `step` over layers; the gradient computes events again by `undo`.

    Args:
      step: A function `(numbers, fixed, x, context) -> (y, log_det)` of one layer.
      undo: The function `(numbers, fixed, y, context) -> x` of one layer.
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
            x, log_det = step(*layer, x, context)
            return (x, total + log_det), None

        start = x, zero_log_det(x, event_ndim)
        return control_flow.scan(one, start, (numbers, fixed), reverse=reverse)[0]

    def forward(numbers, fixed, x, context):
        y, total = run(numbers, fixed, x, context)
        return (y, total), (numbers, fixed, y, context)

    def backward(stored, cotangents):
        numbers, fixed, y, context = stored
        y_bar, total_bar = cotangents

        def one(state, layer):
            y, y_bar, context_bar = state
            numbers, fixed = layer
            x = undo(numbers, fixed, y, context)
            _, pull = jax.vjp(
                lambda numbers, x, context: step(numbers, fixed, x, context),
                numbers,
                x,
                context,
            )
            numbers_bar, x_bar, more = pull((y_bar, total_bar))
            context_bar = jax.tree.map(jnp.add, context_bar, more)
            return (x, x_bar, context_bar), numbers_bar

        start = y, y_bar, jax.tree.map(jnp.zeros_like, context)
        (_, x_bar, context_bar), numbers_bar = control_flow.scan(
            one, start, (numbers, fixed), reverse=not reverse
        )
        return numbers_bar, None, x_bar, context_bar

    run.defvjp(forward, backward)
    return run(numbers, fixed, x, context)


def _latest(_, new):
    return new
