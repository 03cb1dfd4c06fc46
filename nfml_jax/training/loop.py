"""The training loop, written once for every experiment.

Resume rule: a finished run directory is left as it is; otherwise training goes on from
its newest whole checkpoint, or begins at step 0. What is drawn, and which batch comes,
depends on the seed and the step alone, so the resumed run is the uninterrupted one.
"""

import shlex
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import jax

from nfml_jax.training.checkpoints import Checkpoints
from nfml_jax.training.checks import check_config, find_devices
from nfml_jax.training.experiment import Experiment
from nfml_jax.training.finish import make_result, write_report
from nfml_jax.training.inference import BatchedApply
from nfml_jax.training.interrupts import Interrupted, Interrupts
from nfml_jax.training.meter import Diverged, Meter, check_finite
from nfml_jax.training.pace import Dispatches
from nfml_jax.training.run_directory import RunDirectory
from nfml_jax.training.setup import Setup
from nfml_jax.training.sharding import replicate
from nfml_jax.training.step import TrainState
from nfml_jax.training.terminal import Terminal
from nfml_jax.training.writers import RunWriter


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
    and "train" (see configs/defaults/); `make_experiment(config)` gives the rest.
    Raises UserError for what the user can mend, before anything is trained or written.
    """
    terminal = terminal or Terminal()
    check_config(config)
    with RunDirectory(workdir, config) as directory:
        finished = directory.result()
        if finished is not None:
            terminal.note(
                f"This run is finished ({finished['steps']} steps); nothing to do. "
                "Remove result.json to evaluate again, or give another --workdir."
            )
            terminal.summary("Result", finished["metrics"])
            terminal.results({"run directory": directory.path})
            return Outcome("done", finished["steps"], finished)
        devices = find_devices(config["platform"], config["num_devices"])
        # What isn't mapped over the mesh (init, parts of the evaluation) runs on one of
        # the devices asked for, too.
        with jax.default_device(devices[0]):
            setup = Setup(make_experiment, config, devices)
            run = _Run(setup, directory, terminal)
            directory.begin()
            try:
                with Interrupts() as interrupts:
                    return run.to_the_end(interrupts)
            except BaseException as problem:
                directory.status("failed", error=f"{type(problem).__name__}: {problem}")
                raise


class _Run:
    """One process's work on one run directory."""

    def __init__(self, setup: Setup, directory: RunDirectory, terminal: Terminal):
        self.setup, self.directory, self.terminal = setup, directory, terminal
        self.experiment, self.schedule = setup.experiment, setup.schedule
        self.apply = BatchedApply(setup.mesh)

    def to_the_end(self, interrupts: Interrupts) -> Outcome:
        self.interrupts = interrupts
        path, best = self.directory.path, self.experiment.best
        with Checkpoints(path / "checkpoints", best=best, write=True) as self.saved:
            state = self.setup.state()
            state, meta = self.saved.restore(state) or (state, {})
            self.kept = first = int(state.step)
            self.directory.status("running", first)
            self.before = meta.get("wall_s", 0.0), meta.get("cpu_s", 0.0)
            self._header(first)
            lines = meta.get("lines", 0)
            with RunWriter(path, first_step=first, lines=lines) as self.writer:
                try:
                    state = self._train(state, Meter(meta.get("meter")), first)
                    return self._finish(state)
                except Interrupted as wish:
                    return self._interrupted(str(wish))
                except Diverged as divergence:
                    return self._diverged(divergence)

    def _header(self, first):
        rows = {**self.setup.describe(), "run directory": str(self.directory.path)}
        self.terminal.header(self.setup.config["name"], rows)
        for sentence in self.experiment.warnings():
            self.terminal.warning(sentence)
        if first:
            self.terminal.note(f"Resuming from the checkpoint of step {first:,}.")

    def _train(self, state, meter, step) -> TrainState:
        feed, schedule = self.setup.feed, self.schedule
        with self.terminal.progress(schedule.total, step, schedule.log) as progress:

            def harvest(first, metrics):
                steps = len(metrics["loss"])
                meter.add(first, metrics)
                done, examples = first + steps, steps * feed.batch_size
                progress.update(done, **meter.latest(), examples=examples)
                if schedule.due(schedule.log, done):
                    values = {f"train/{k}": v for k, v in meter.means().items()}
                    rate = float(self.setup.learning_rate(done - 1))
                    self.writer.scalars(done, {**values, "learning_rate": rate})

            most = self.setup.settings["steps_per_dispatch"]
            dispatches = Dispatches(self.setup.dispatch(), most, harvest)
            while step < schedule.total and not self.interrupts.wanted:
                steps = min(dispatches.steps, schedule.next_event(step) - step)
                state = dispatches.run(
                    state, step, steps, feed.chunk(step), feed.resident
                )
                step += steps
                evaluate = schedule.due(schedule.evaluate, step)
                save = schedule.due(schedule.checkpoint, step)
                if evaluate or save:
                    dispatches.drain()
                    self._pause(state, step, meter, evaluate=evaluate, save=save)
            dispatches.drain()
            if self.kept < step:
                self._pause(state, step, meter, evaluate=False, save=True)
        self.interrupts.check()
        return state

    def _pause(self, state, step, meter, *, evaluate, save):
        """Validate, and write a checkpoint: one that is due, or may be the best."""
        check_finite(step - 1, {"params": state.params})
        metrics = None
        if evaluate:
            report = self.experiment.validate(state.variables(), self.apply)
            metrics = report.metrics
            if metrics:
                self.writer.scalars(step, metrics)
            for name, values in report.histograms.items():
                self.writer.histogram(step, name, values)
        if not (save or (metrics and self.experiment.best in metrics)):
            return
        wall, cpu = self._spent()
        meta = {
            "meter": meter.pending(),
            "lines": self.writer.lines,
            "wall_s": wall,
            "cpu_s": cpu,
            "model": self.experiment.model(),
        }
        self.saved.save(step, state, meta, metrics)
        self.kept = step
        self.directory.status("running", step)

    def _spent(self):
        """Wall and CPU seconds of all processes that worked on this run so far."""
        wall, cpu = self.setup.began
        return (
            self.before[0] + time.time() - wall,
            self.before[1] + time.process_time() - cpu,
        )

    def _finish(self, state) -> Outcome:
        """Evaluate, draw, and write the result."""
        # Training is safe on disk, so from here on a wish to stop is granted at once.
        self.apply.interrupted = self.interrupts.check
        total, path = self.schedule.total, self.directory.path
        variables = state.variables()
        reported = {"checkpoint": "last", "step": total}
        if self.setup.settings["report"] == "best":
            variables, meta = self.saved.restore_model("best")
            reported = {"checkpoint": "best", "step": meta["step"]}
        self.terminal.note("Evaluating.")
        variables = replicate(variables, self.setup.mesh)
        report = self.experiment.report(variables, self.apply)
        write_report(report, path, self.writer, total, self.setup.config)
        result = make_result(
            report,
            self.setup.config,
            self.experiment,
            device=self.setup.devices(),
            reported=reported,
            spent=self._spent(),
            steps=total,
        )
        self.saved.wait()
        self.directory.write("result.json", result)
        self.directory.status("done", total)
        self.terminal.summary("Result", report.metrics)
        self.terminal.results(
            {
                "result": path / "result.json",
                "figures": path / "figures",
                "run directory": path,
            }
        )
        return Outcome("done", total, result)

    def _interrupted(self, wish) -> Outcome:
        self.saved.wait()
        self.directory.status("interrupted", self.kept)
        where = (
            f"at step {self.kept:,} of {self.schedule.total:,}, saved"
            if self.kept
            else "before the first step"
        )
        self.terminal.note(
            f"Stopped by {wish} {where}; the same command with "
            f"--workdir={shlex.quote(str(self.directory.path))} resumes."
        )
        return Outcome("interrupted", self.kept)

    def _diverged(self, divergence) -> Outcome:
        self.saved.wait()
        last = (
            f"the last good checkpoint is that of step {self.kept:,}"
            if self.kept
            else "there is no checkpoint before it"
        )
        rate = float(self.setup.learning_rate(divergence.step))
        sentence = (
            f"The run diverged at step {divergence.step:,}: {divergence}; the learning "
            f"rate was {rate:.3g}, and {last}."
        )
        self.directory.status(
            "diverged",
            self.kept,
            error=sentence,
            diverged_at=divergence.step,
            culprits=list(divergence.values),
        )
        self.terminal.warning(sentence)
        return Outcome("diverged", divergence.step)
