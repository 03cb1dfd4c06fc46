"""Replay one training step outside jit, to find where a value stops being finite.

State and batch of a step depend on the seed and the step alone, so any step of a run
can be made again: `nfml train --replay=STEP`.
"""

import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import flax.linen as nn
import jax
import numpy as np

from nfml_jax.errors import UserError
from nfml_jax.runs.run_directory import RunDirectory
from nfml_jax.terminal.terminal import Terminal
from nfml_jax.training.checkpoints import Checkpoints
from nfml_jax.training.devices import find_devices
from nfml_jax.training.experiment import Batch, Experiment
from nfml_jax.training.randomness import row_keys
from nfml_jax.training.settings import RunSettings
from nfml_jax.training.setup import Setup
from nfml_jax.training.sharding import AXIS, is_inexact, per_device
from nfml_jax.training.step import TrainState

PyTree = Any

SHOWN = 8  # rows that a sentence names
SHOWN_LEAVES = 3  # leaves of each tree that have a sentence


@dataclass
class Replay:
    """The outcome of a replayed step.

    `findings` are sentences, the first about the earliest value that is not finite;
    there are none where everything is finite. `batch` is the file of the batch.
    """

    step: int
    loss: float
    findings: list[str]
    batch: Path


@dataclass
class _Outputs:
    """The outputs that are not finite, in the order in which modules were called."""

    rows: int
    calls: int = 0
    found: dict[int, str] = field(default_factory=dict)

    def watch(self, next_call, args, kwargs, context):
        """Check the output of a module's method; for `flax.linen.intercept_methods`."""
        output = next_call(*args, **kwargs)
        place = "/".join(context.module.path) or type(context.module).__name__
        name = f"{place} ({type(context.module).__name__}.{context.method_name})"
        for leaf in jax.tree.leaves(output):
            if isinstance(leaf, jax.Array) and is_inexact(leaf):
                self.calls += 1
                number = self.calls
                jax.debug.callback(
                    lambda value, number=number: self._check(number, name, value), leaf
                )
        return output

    def _check(self, number: int, name: str, value) -> None:
        value = np.asarray(value)
        bad = ~np.isfinite(value)
        if not bad.any():
            return
        kind = "NaN" if np.isnan(value).any() else "infinite"
        where = f"shape {list(value.shape)}"
        if value.ndim and len(value) == self.rows:
            rows = np.flatnonzero(bad.reshape(self.rows, -1).any(1))
            more = ", ..." if len(rows) > SHOWN else ""
            listed = ", ".join(map(str, rows[:SHOWN]))
            where += f", {len(rows)} of {self.rows} rows: {listed}{more}"
        self.found[number] = f"the output of {name} is {kind} ({where})"

    def first(self) -> str | None:
        """Return the finding of the earliest call: the first NaN, or else infinity."""
        nans = [n for n, words in self.found.items() if " is NaN " in words]
        return self.found[min(nans or self.found)] if self.found else None


def replay(
    make_experiment: Callable[[dict], Experiment],
    config: dict,
    workdir: Path | str,
    step: int,
    *,
    terminal: Terminal | None = None,
) -> Replay:
    """Repeat step `step` of the run in `workdir`, and name what is not finite.

    The state before the step comes from the newest checkpoint that is not later, and
    the steps between them are trained again. The step itself runs on one device,
    operation by operation, under `jax.debug_nans`. The batch is written to
    `replay_STEP.npz` in the run directory; nothing else there changes. Raises
    UserError for a directory without a run, or a step that the run does not have.
    """
    terminal = terminal or Terminal()
    workdir = Path(workdir).expanduser()
    settings = RunSettings.of(config)
    if not (workdir / "config.json").is_file():
        raise UserError(
            f"{workdir} holds no run to replay; give --workdir=FOLDER of a run that "
            "was started with this config."
        )
    device = find_devices(settings)[:1]
    with jax.default_device(device[0]), RunDirectory(workdir, config):
        setup = Setup(make_experiment, config, device)
        total = setup.schedule.total
        if not 0 <= step < total:
            raise UserError(
                f"--replay={step} is no step of this run; they are 0 to {total - 1}."
            )
        state = _state_before(setup, workdir / "checkpoints", step, terminal)
        batch = _batch(setup, state, step)
        file = workdir / f"replay_{step}.npz"
        np.savez_compressed(file, **_arrays(batch))
        loss, findings = _findings(setup, state, batch)
    found = Replay(step, loss, findings, file)
    terminal.header(
        f"step {step:,}, replayed",
        {
            "loss": f"{loss:g}",
            "batch": str(file),
            "found": "\n".join(findings) or "every value and gradient is finite",
        },
    )
    return found


def _state_before(setup, folder, step, terminal) -> TrainState:
    """Return the state that `step` starts from."""
    state = setup.state()
    with Checkpoints(folder) as saved:
        state, _ = saved.restore(state, until=step) or (state, {})
    first = int(state.step)
    if first == step:
        return state
    terminal.note(f"Training again from step {first:,} to {step:,}.")
    dispatch, most = setup.dispatch(), setup.settings.train.steps_per_dispatch
    for start in range(first, step, most):
        steps = np.int32(min(most, step - start))
        state, _ = dispatch(state, steps, *setup.data(start))
    return state


def _batch(setup, state, step) -> Batch:
    """Return the whole batch of a step, as its only device sees it."""

    def take(step, chunk, resident):
        data, rows = setup.feed.take(resident, chunk, step)
        return Batch(data, row_keys(setup.loss_key(), step, rows))

    chunk, resident = setup.data(step)
    spec = jax.sharding.PartitionSpec
    specs = spec(), setup.feed.spec, spec()
    return per_device(take, setup.mesh, specs, spec(AXIS), checked=False)(
        state.step, chunk, resident
    )


def _arrays(batch: Batch) -> dict[str, Any]:
    """Return the arrays of a batch by their paths, with the keys as their data."""
    plain = {"data": batch.data, "keys": jax.random.key_data(batch.keys)}
    return {
        jax.tree_util.keystr(path, simple=True, separator="."): np.asarray(leaf)
        for path, leaf in jax.tree_util.tree_leaves_with_path(plain)
    }


def _findings(setup, state, batch) -> tuple[float, list[str]]:
    """Return the loss of a batch, and sentences on what is not finite."""
    loss_of = setup.experiment.loss

    def on_one_device(function):
        """Map over an axis of one device, whose name the loss averages over."""
        return jax.vmap(function, axis_name=AXIS, axis_size=1, in_axes=None)

    def loss(params):
        return loss_of(params, state.collections, batch, state.step)

    outputs = _Outputs(rows=len(batch.keys))
    findings = _bad("parameter", state.params)
    with jax.disable_jit(), nn.intercept_methods(outputs.watch):
        value, (_, metrics) = on_one_device(loss)(state.params)
        jax.effects_barrier()
    if first := outputs.first():
        findings.append(first)
    findings += _bad("metric", metrics)
    value = float(value[0])
    if not np.isfinite(value):
        findings.append(f"the loss is {value}")
    grads = jax.jit(on_one_device(jax.grad(lambda p: loss(p)[0])))(state.params)
    findings += _bad("the gradient of", grads)
    if findings:
        findings += _operation(on_one_device, loss, state.params)
    return value, findings


def _operation(on_one_device, loss, params) -> list[str]:
    """Return a sentence on the operation that makes the first NaN, with its line."""
    with jax.disable_jit(), jax.debug_nans(True):
        try:
            on_one_device(jax.grad(lambda p: loss(p)[0]))(params)
        except FloatingPointError as problem:
            words = str(problem).splitlines()[0].rstrip(".")
            return [f"{words}{_line(problem)}"]
    return []


def _line(problem: BaseException) -> str:
    """Return the last line of this package, or of the user, in a traceback."""
    frames = traceback.extract_tb(problem.__traceback__)
    own = [
        frame
        for frame in frames
        if "site-packages" not in frame.filename and frame.filename != __file__
    ]
    if not own:
        return ""
    last = own[-1]
    return f", at {last.filename}:{last.lineno}: {last.line}"


def _bad(kind: str, tree: PyTree) -> list[str]:
    """Return a sentence on each of the first leaves that are not finite."""
    found = []
    for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
        values = np.asarray(leaf)
        if not np.issubdtype(values.dtype, np.inexact):
            continue
        bad = values[~np.isfinite(values)]
        if bad.size:
            name = jax.tree_util.keystr(path, simple=True, separator="/")
            found.append(f"{kind} {name} is {bad[0].item()}")
    more = len(found) - SHOWN_LEAVES
    return found[:SHOWN_LEAVES] + ([f"and {more} more"] if more > 0 else [])
