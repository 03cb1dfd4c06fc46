"""The training loop, written once for every experiment.

Resume rule: a finished run directory is left as it is; otherwise training goes on from
its newest whole checkpoint, or begins at step 0. What is drawn, and which batch comes,
depends on the seed and the step alone, so the resumed run is the uninterrupted one.
"""

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import jax
import numpy as np

from nfml_jax.errors import UserError
from nfml_jax.names import flatten
from nfml_jax.plots import learning_curves, save, to_rgb
from nfml_jax.training.checkpoints import Checkpoints
from nfml_jax.training.durations import to_steps
from nfml_jax.training.experiment import Experiment
from nfml_jax.training.feeds import ResidentFeed
from nfml_jax.training.inference import BatchedApply
from nfml_jax.training.interrupts import Interrupted, Interrupts
from nfml_jax.training.meter import Diverged, Meter
from nfml_jax.training.optimizers import make_optimizer, make_schedule
from nfml_jax.training.randomness import purpose_key, root_key
from nfml_jax.training.run_directory import (
    RunDirectory,
    device_description,
    revision,
    versions,
)
from nfml_jax.training.sharding import make_mesh, replicate
from nfml_jax.training.step import TrainState, init_state, make_dispatch, make_step
from nfml_jax.training.terminal import Terminal
from nfml_jax.training.writers import RunWriter, read_metrics

# Dispatches that may be under way at once: enough to keep a device busy, few enough
# that neither memory nor the CPU's collectives run away (awaiting is what keeps several
# devices on few cores from dead-locking).
IN_FLIGHT = 2


@dataclass(frozen=True)
class Schedule:
    """When things happen, in steps; 0 is never."""

    total: int
    log: int
    evaluate: int
    checkpoint: int
    per_dispatch: int

    def next_event(self, step: int) -> int:
        """The first step after `step` at which something is due."""
        periods = (self.log, self.evaluate, self.checkpoint)
        return min([self.total] + [(step // p + 1) * p for p in periods if p])

    def due(self, period: int, step: int) -> bool:
        return bool(period) and step % period == 0


@dataclass
class Outcome:
    """How a run ended: "done", "interrupted" or "diverged", at which step."""

    status: str
    step: int
    result: dict | None = None


def train_and_evaluate(
    make_experiment: Callable[[dict], Experiment],
    config: dict,
    workdir: Path | str,
    *,
    terminal: Terminal | None = None,
) -> Outcome:
    """Run the experiment of `config` in `workdir`, from where that stands to the end.

    `config` is a plain nested dict with "seed", "platform", "num_devices", "optimizer"
    and "train" (see configs/defaults.py); `make_experiment(config)` gives the rest.
    Raises UserError for what the user can mend, before anything is trained.
    """
    terminal = terminal or Terminal()
    with RunDirectory(workdir, config) as run, Interrupts() as interrupts:
        finished = run.result()
        if finished is not None:
            terminal.note(
                f"This run is finished ({finished['steps']} steps); nothing to do. "
                "Remove result.json to evaluate again, or give another --workdir."
            )
            terminal.summary("Result", finished["metrics"])
            terminal.results({"run directory": run.path})
            return Outcome("done", finished["steps"], finished)
        run.status("running")
        try:
            return _Run(make_experiment, config, run, interrupts, terminal).to_the_end()
        except BaseException as problem:
            run.status("failed", error=f"{type(problem).__name__}: {problem}")
            raise


class _Run:
    """One process's work on one run directory."""

    def __init__(self, make_experiment, config, run, interrupts, terminal):
        self.config, self.run = config, run
        self.interrupts, self.terminal = interrupts, terminal
        self.started = time.time(), time.process_time()

        settings = config["train"]
        _check_settings(settings)
        self.mesh = make_mesh(_devices(config["platform"], config["num_devices"]))
        _check_division(settings, self.mesh.size)
        self.experiment = make_experiment(config)
        self.key = root_key(config["seed"])
        self.feed = ResidentFeed(
            self.experiment.train_arrays,
            settings["batch_size"],
            purpose_key(self.key, "order"),
            self.mesh,
            ahead=settings["steps_per_dispatch"],
        )
        self.schedule = Schedule(
            total=self._steps(settings["total"], "train.total"),
            log=self._steps(settings["log_every"], "train.log_every"),
            evaluate=self._steps(settings["evaluate_every"], "train.evaluate_every"),
            checkpoint=self._steps(
                settings["checkpoint_every"], "train.checkpoint_every"
            ),
            per_dispatch=settings["steps_per_dispatch"],
        )
        if not self.schedule.total:
            raise UserError("train.total = 'never' trains nothing; give a duration.")
        if settings["report"] == "best" and self.experiment.best is None:
            raise UserError(
                "train.report = 'best' needs validation examples to choose by; set "
                "data.validation, or train.report = 'last'."
            )
        self.apply = BatchedApply(self.mesh)

        optimizer = dict(config["optimizer"])
        self.learning_rate = make_schedule(
            optimizer.pop("schedule"),
            optimizer.pop("learning_rate"),
            steps=self.schedule.total,
            warmup_steps=self._steps(optimizer.pop("warmup"), "optimizer.warmup"),
        )
        self.optimizer = make_optimizer(self.learning_rate, **optimizer)

    def _steps(self, duration, field):
        return to_steps(
            duration,
            batch_size=self.feed.batch_size,
            examples=self.feed.examples,
            field=field,
        )

    def to_the_end(self) -> Outcome:
        best = self.experiment.best
        with Checkpoints(self.run.path / "checkpoints", best=best) as self.checkpoints:
            state, meta = self._start()
            self.kept = first = int(state.step)
            self.before = meta.get("wall_s", 0.0), meta.get("cpu_s", 0.0)
            self._header(state, first)
            with RunWriter(self.run.path, first_step=first) as self.writer:
                try:
                    state = self._train(state, Meter(meta.get("meter")), first)
                    return self._finish(state)
                except Interrupted as wish:
                    return self._interrupted(str(wish))
                except Diverged as divergence:
                    return self._diverged(divergence)

    def _start(self) -> tuple[TrainState, dict]:
        """The state to go on from, placed on the devices, and its checkpoint's meta."""
        variables = jax.jit(self.experiment.init)(purpose_key(self.key, "init"))
        average = self.config["train"]["average_decay"] > 0
        state = replicate(
            init_state(variables, self.optimizer, average=average), self.mesh
        )
        restored = self.checkpoints.restore(state)
        return (state, {}) if restored is None else restored

    def _header(self, state, first):
        parameters = sum(x.size for x in jax.tree.leaves(state.params))
        total, per_epoch = self.schedule.total, self.feed.steps_per_epoch
        rows = self.experiment.describe() | {
            "parameters": f"{parameters:,}",
            "training": f"{total:,} steps of {self.feed.batch_size} "
            f"({total / per_epoch:.4g} epochs), {self._optimizer_words()}",
            "devices": device_description(list(self.mesh.devices.flat)),
            "run directory": str(self.run.path),
        }
        self.terminal.header(self.config["name"], rows)
        for sentence in self.experiment.warnings():
            self.terminal.warning(sentence)
        if first:
            self.terminal.note(f"Resuming from the checkpoint of step {first:,}.")

    def _optimizer_words(self):
        optimizer = self.config["optimizer"]
        return (
            f"{optimizer['name']}, rate {optimizer['learning_rate']:g}, "
            f"{optimizer['schedule']}"
        )

    def _train(self, state, meter, step) -> TrainState:
        settings, schedule = self.config["train"], self.schedule
        one_step = make_step(
            self.experiment.loss,
            self.optimizer,
            key=purpose_key(self.key, "loss"),
            average_decay=settings["average_decay"],
            accumulate=settings["accumulate"],
        )
        dispatch = make_dispatch(
            one_step, self.feed.take, self.mesh, schedule.per_dispatch
        )
        under_way = deque()
        with self.terminal.progress(schedule.total, step) as progress:

            def harvest():
                first, steps, metrics = under_way.popleft()
                metrics = jax.device_get(metrics)
                meter.add(first, {k: v[:steps] for k, v in metrics.items()})
                done = first + steps
                progress.update(
                    done,
                    **meter.latest(),
                    examples=steps * self.feed.batch_size,
                )
                if schedule.due(schedule.log, done) or done == schedule.total:
                    values = {f"train/{k}": v for k, v in meter.means().items()}
                    rate = float(self.learning_rate(done - 1))
                    self.writer.scalars(done, {**values, "learning_rate": rate})

            while step < schedule.total and not self.interrupts.wanted:
                steps = min(schedule.per_dispatch, schedule.next_event(step) - step)
                state, metrics = dispatch(
                    state, np.int32(steps), self.feed.chunk(step), self.feed.resident
                )
                under_way.append((step, steps, metrics))
                step += steps
                pause = step == schedule.total or any(
                    schedule.due(period, step)
                    for period in (schedule.evaluate, schedule.checkpoint)
                )
                while len(under_way) > (0 if pause else IN_FLIGHT):
                    harvest()
                if pause:
                    self._keep(state, step, meter)
            while under_way:
                harvest()
            if self.kept < step:
                self._keep(state, step, meter, validate=False)
        self.interrupts.check()
        return state

    def _keep(self, state, step, meter, *, validate=True):
        """Validate if due, and write a checkpoint."""
        metrics = None
        if validate and (
            self.schedule.due(self.schedule.evaluate, step)
            or step == self.schedule.total
        ):
            report = self.experiment.validate(state.variables(), self.apply)
            metrics = report.metrics
            if metrics:
                self.writer.scalars(step, metrics)
            for name, values in report.histograms.items():
                self.writer.histogram(step, name, values)
        wall, cpu = self._spent()
        meta = {
            "meter": meter.pending(),
            "wall_s": wall,
            "cpu_s": cpu,
            "model": self.experiment.model(),
        }
        self.checkpoints.save(step, state, meta, metrics)
        self.kept = step
        self.run.status("running", step)

    def _spent(self):
        """Wall and CPU seconds of all processes that worked on this run so far."""
        return (
            self.before[0] + time.time() - self.started[0],
            self.before[1] + time.process_time() - self.started[1],
        )

    def _finish(self, state) -> Outcome:
        """Evaluate, draw, and write the result."""
        # Training is safe on disk, so from here on a wish to stop is granted at once.
        self.apply.interrupted = self.interrupts.check
        total = self.schedule.total
        variables = state.variables()
        reported = {"checkpoint": "last", "step": total}
        if self.config["train"]["report"] == "best":
            variables, meta = self.checkpoints.restore_model("best")
            reported = {"checkpoint": "best", "step": meta["step"]}
        self.terminal.note("Evaluating.")
        report = self.experiment.report(replicate(variables, self.mesh), self.apply)
        self._write_report(report, total)
        wall, cpu = self._spent()
        result = {
            "name": self.config["name"],
            "config": self.config,
            "metrics": report.metrics,
            "data": self.experiment.data(),
            "model": self.experiment.model(),
            "reported": reported,
            "seed": self.config["seed"],
            "versions": versions(),
            "device": device_description(list(self.mesh.devices.flat)),
            "revision": revision(),
            "wall_s": round(wall, 3),
            "cpu_s": round(cpu, 3),
            "steps": total,
        }
        self.checkpoints.wait()
        self.run.write("result.json", result)
        self.run.status("done", total)
        self.terminal.summary("Result", report.metrics)
        self.terminal.results(
            {
                "result": self.run.path / "result.json",
                "figures": self.run.path / "figures",
                "run directory": self.run.path,
            }
        )
        return Outcome("done", total, result)

    def _write_report(self, report, step):
        curves = learning_curves(read_metrics(self.run.path / "metrics.jsonl"))
        self.writer.scalars(step, report.metrics)
        folder = self.run.path / "figures"
        folder.mkdir(exist_ok=True)
        for name, figure in {"learning_curves": curves, **report.figures}.items():
            rgb = to_rgb(figure)
            save(rgb, folder / f"{name}.png")
            self.writer.image(step, name, rgb)
        for name, values in report.histograms.items():
            self.writer.histogram(step, name, values)
        for name, rows in report.embeddings.items():
            self.writer.embedding(step, name, *rows)
        self.writer.hparams(flatten(self.config), list(report.metrics))

    def _interrupted(self, wish) -> Outcome:
        self.checkpoints.wait()
        self.run.status("interrupted", self.kept)
        where = (
            f"at step {self.kept:,} of {self.schedule.total:,}, saved"
            if self.kept
            else "before the first step"
        )
        self.terminal.note(
            f"Stopped by {wish} {where}; the same command with "
            f"--workdir={self.run.path} resumes."
        )
        return Outcome("interrupted", self.kept)

    def _diverged(self, divergence) -> Outcome:
        self.checkpoints.wait()
        last = (
            f"the last good checkpoint is that of step {self.kept:,}"
            if self.kept
            else "there is no checkpoint before it"
        )
        rate = float(self.learning_rate(divergence.step))
        sentence = (
            f"The run diverged at step {divergence.step:,}: {divergence}; the learning "
            f"rate was {rate:.3g}, and {last}."
        )
        self.run.status(
            "diverged",
            divergence.step,
            error=sentence,
            culprits=list(divergence.values),
            last_good_checkpoint=self.kept or None,
        )
        self.terminal.warning(sentence)
        return Outcome("diverged", divergence.step)


def _devices(platform: str, count: int) -> list[jax.Device]:
    """The devices asked for; `count` 0 is all there are."""
    try:
        devices = jax.devices(None if platform == "auto" else platform)
    except RuntimeError:
        there = ", ".join(sorted({d.platform for d in jax.devices()}))
        raise UserError(
            f"platform = {platform!r} is not on this machine (there is: {there}); use "
            "platform='auto', or install the jax that drives it."
        ) from None
    if not 0 <= count <= len(devices):
        raise UserError(
            f"num_devices = {count}, but there are {len(devices)} of platform "
            f"{devices[0].platform!r}; give 0 for all."
        )
    return devices[: count or None]


def _check_settings(settings: dict) -> None:
    if settings["steps_per_dispatch"] < 1:
        raise UserError(
            f"train.steps_per_dispatch = {settings['steps_per_dispatch']} must be at "
            "least 1."
        )
    if settings["report"] not in ("last", "best"):
        raise UserError(
            f"train.report = {settings['report']!r} is not known; choose 'last' or "
            "'best'."
        )
    if not 0 <= settings["average_decay"] < 1:
        raise UserError(
            f"train.average_decay = {settings['average_decay']} must lie in [0, 1); "
            "0 turns the average off."
        )


def _check_division(settings: dict, devices: int) -> None:
    batch, parts = settings["batch_size"], settings["accumulate"]
    if parts < 1 or batch < 1 or batch % (devices * parts):
        raise UserError(
            f"train.batch_size = {batch} cannot be divided into {devices} device(s) × "
            f"train.accumulate = {parts} equal parts; choose a multiple of "
            f"{devices * max(parts, 1)}."
        )
