"""The train state, and one dispatch: several optimizer steps in one program."""

from collections.abc import Callable
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import optax
from jax import lax
from jax.sharding import Mesh
from jax.sharding import PartitionSpec as P

from nfml_jax.training.experiment import Batch
from nfml_jax.training.optimizers import evaluation_params
from nfml_jax.training.randomness import row_keys
from nfml_jax.training.sharding import (
    BY_NAME,
    REPLICATED,
    is_inexact,
    norm,
    per_device,
    value_and_grad,
)

PyTree = Any


@flax.struct.dataclass
class TrainState:
    """The state that a resumed run needs; the same on every device, or split by name.

    `collections` are Flax's mutable collections beside "params" (batch statistics, and
    constants). `average` is the exponential moving average of the Flax variables, of
    both kinds, or None when it is off. With a schedule-free optimizer it
    holds the optimizer's own average of the parameters, and the newest collections.
    """

    step: jax.Array
    params: PyTree
    collections: PyTree
    optimizer: PyTree
    average: PyTree | None

    def variables(self) -> PyTree:
        """Return the variables for evaluation: the average if there is one."""
        if self.average is not None:
            return self.average
        return {"params": self.params, **self.collections}

    def parts(self) -> tuple[PyTree, PyTree]:
        """Return the arrays that evaluation needs, and the others."""
        model = {
            "params": self.params,
            "collections": self.collections,
            "average": self.average,
        }
        return model, {"step": self.step, "optimizer": self.optimizer}


def variables_of(model: PyTree) -> PyTree:
    """Return the variables for evaluation from the first of `TrainState.parts`."""
    if model.get("average") is not None:
        return model["average"]
    return {"params": model["params"], **(model.get("collections") or {})}


def init_state(
    variables: PyTree, optimizer: optax.GradientTransformation, *, average: bool
) -> TrainState:
    """Return the state at step 0 from a Flax module's `variables`."""
    collections = dict(variables)
    params = collections.pop("params")
    # A state that begins with the parameters must not be them: both are donated.
    state = optimizer.init(jax.tree.map(jnp.copy, params))
    average = average or evaluation_params(state, params) is not None
    return TrainState(
        step=jnp.zeros((), jnp.int32),
        params=params,
        collections=collections,
        optimizer=state,
        average=jax.tree.map(jnp.copy, dict(variables)) if average else None,
    )


def make_step(
    loss: Callable,
    optimizer: optax.GradientTransformation,
    *,
    key: jax.Array,
    average_decay: float | None = None,
    accumulate: int = 1,
) -> Callable:
    """Return one optimizer step as one device sees it.

    `loss(params, collections, batch, step) -> (scalar, (collections, metrics))` is
    `nfml_jax.training.experiment.Experiment.loss`. The returned
    `step(state, data, rows) -> (state, metrics)` takes the device's share of the data
    and its rows' places in the global batch. Metrics are means over all devices. The
    gradient norm is logged for each top-level part of the parameters, which shows
    where a divergence began.
    """
    differentiate = value_and_grad(loss, accumulate=accumulate)

    def step(state, data, rows):
        batch = Batch(data, row_keys(key, state.step, rows))
        value, collections, metrics, grads = differentiate(
            state.params, state.collections, batch, state.step
        )
        updates, optimizer_state = optimizer.update(
            grads, state.optimizer, state.params
        )
        params = optax.apply_updates(state.params, updates)
        average = state.average
        if (averaged := evaluation_params(optimizer_state, params)) is not None:
            average = {"params": averaged, **collections}
        elif average is not None and average_decay is not None:
            # The warm-up of the decay keeps the random initial weights out of the
            # average.
            t = state.step.astype(jnp.float32)
            decay = jnp.minimum(average_decay, (1 + t) / (10 + t))
            average = moving_average(average, {"params": params, **collections}, decay)
        norms = {f"grad_norm/{k}": norm(g) for k, g in grads.items()}
        metrics = {"loss": value, **metrics, **norms}
        state = TrainState(
            state.step + 1, params, collections, optimizer_state, average
        )
        return state, metrics

    return step


def moving_average(average: PyTree, new: PyTree, decay: jax.Array) -> PyTree:
    """Move `average` towards `new`; take leaves that aren't inexact from `new`.

    Statistics move along with the parameters that they belong to; integers (counts,
    permutations) have no mean.
    """

    def move(old, new):
        if not is_inexact(new):
            return new
        moved = (old + (1 - decay) * (new - old)).astype(old.dtype)
        # A constant stays unchanged, infinities too.
        return jnp.where(new == old, new, moved)

    return jax.tree.map(move, average, new)


def make_dispatch(
    step: Callable, take: Callable, mesh: Mesh, most: int, *, checked: bool = True
) -> Callable:
    """Compile up to `most` steps into one program.

    The returned `dispatch(state, steps, chunk, resident) -> (state, metrics)` runs
    `steps` ≤ `most` steps; metrics are arrays `[most]`; the first `steps` count.
    The number of steps is a value, not a shape: one program serves every length, so the
    numbers don't depend on where a run was cut.
    """
    return compile_dispatch(make_steps(step, take, most), mesh, checked=checked)


def make_steps(step: Callable, take: Callable, most: int) -> Callable:
    """Return the function that `make_dispatch` compiles, as one device sees it."""

    def steps_of(state, steps, chunk, resident):
        # The caller's program includes it; jit only makes JAX trace it once.
        @jax.jit
        def one(state):
            data, rows = take(resident, chunk, state.step)
            return step(state, data, rows)

        shapes = jax.eval_shape(one, state)[1]
        metrics = jax.tree.map(lambda s: jnp.zeros((most, *s.shape), s.dtype), shapes)

        def advance(i, carry):
            state, metrics = carry
            state, new = one(state)
            metrics = jax.tree.map(lambda all, m: all.at[i].set(m), metrics, new)
            return state, metrics

        return lax.fori_loop(0, steps, advance, (state, metrics))

    return steps_of


def compile_dispatch(
    steps_of: Callable, mesh: Mesh, *, checked: bool, chunk: Any = REPLICATED
) -> Callable:
    """Compile `steps_of(state, steps, chunk, resident)` for a mesh, donating the state.

    `chunk` is the layout of that argument on the devices.
    """
    given, result = (BY_NAME, P(), chunk, P()), (BY_NAME, P())
    return per_device(steps_of, mesh, given, result, donate=1, checked=checked)
