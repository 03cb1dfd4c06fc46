"""The logging, saving and evaluation of one run.

The training loop hands a `Run` its metrics and its state. A single run and a run in a
program of several leave the same files.
"""

import contextlib
from collections.abc import Callable

import numpy as np

from nfml_jax import plots
from nfml_jax.distributed.interrupts import Interrupted, Interrupts
from nfml_jax.distributed.processes import is_first, local_copy, max_over_processes
from nfml_jax.runs.pruning import Limits, curve_of
from nfml_jax.runs.run_directory import RunDirectory
from nfml_jax.runs.writers import METRICS_FILE, NoWriter, RunWriter, read_metrics
from nfml_jax.terminal.terminal import Terminal
from nfml_jax.training.checkpoints import Checkpoints
from nfml_jax.training.endings import Endings, Outcome
from nfml_jax.training.finish import choose, make_result, write_report
from nfml_jax.training.header import header
from nfml_jax.training.inference import BatchedApply
from nfml_jax.training.meter import Diverged, Meter, check_finite
from nfml_jax.training.rates import Clock, Rates
from nfml_jax.training.same_data import identity
from nfml_jax.training.setup import Setup
from nfml_jax.training.sharding import place
from nfml_jax.training.step import TrainState

# The share of the time spent waiting for data from which a run says so.
INPUT_BOUND = 0.1


class Run:
    """The logging, saving and evaluation of one run; a context manager.

    `nfml_jax.training.opening.open_run` makes one. `first` is the step at which it
    began or resumed, `saved_step` the step of its newest checkpoint, and `spent` its
    wall and CPU seconds. `outcome` is None until the run ends. `group` is the entry of
    `result.json` about the runs that are trained in the same program, or None for a
    single run.
    """

    def __init__(
        self,
        setup: Setup,
        directory: RunDirectory,
        terminal: Terminal,
        interrupts: Interrupts,
        clock: Clock,
        group: dict | None,
        *,
        saved: Checkpoints,
        writer: RunWriter | NoWriter,
        first: int,
        meta: dict,
        opened: contextlib.ExitStack,
    ):
        self.setup, self.directory, self.terminal = setup, directory, terminal
        self.interrupts, self.clock, self.group = interrupts, clock, group
        self.experiment, self.schedule = setup.experiment, setup.schedule
        self.apply = BatchedApply(setup.own_mesh, compiled=setup.compiled)
        self.saved, self.writer = saved, writer
        self._endings = Endings(setup, directory, terminal, saved, writer)
        self.first = self.saved_step = first
        self.spent = meta.get("wall_s", 0.0), meta.get("cpu_s", 0.0)
        self.meter = Meter(meta.get("meter"))
        self.rates = Rates(setup.feed.batch_size)
        schedule = self.schedule
        self.progress = terminal.progress(schedule.total, first, schedule.log)
        self.outcome: Outcome | None = None
        self._opened = opened

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        return self._opened.__exit__(*exception)

    def begin(self, flops: float) -> None:
        """Print the header and show the progress until `end`.

        `flops` are the floating-point operations of a step, 0 if they are unknown.
        """
        self._header(flops)
        self.rates.flops = flops
        self.progress.flops = flops / self.setup.feed.batch_size
        self._opened.enter_context(self.progress)

    def end(self) -> None:
        """Stop showing the progress; a second call does nothing."""
        self.progress.__exit__(None, None, None)

    def _header(self, flops):
        rows = header(self.setup, flops)
        rows["run directory"] = str(self.directory.path)
        if self.group is not None:
            rows["one of"] = f"{self.group['runs']} runs in one program"
        self.terminal.header(self.setup.settings.name, rows)
        for sentence in self.experiment.warnings():
            self.terminal.warning(sentence)
        if self.first:
            self.terminal.note(f"Resuming from the checkpoint of step {self.first:,}.")

    def attempt(self, work: Callable, *arguments, **options) -> None:
        """Run `work`, and record an exception that ends the run as its outcome.

        In a single run, only a divergence and a stop request become an outcome; any
        other exception is raised.
        """
        try:
            work(*arguments, **options)
        except Interrupted as request:
            self.outcome = self._endings.interrupted(str(request), self.saved_step)
        except Diverged as divergence:
            self.end()
            self.outcome = self._endings.diverged(divergence, self.saved_step)
        except Exception as problem:
            if self.group is None:
                raise
            self.outcome = self._endings.failed(problem, self.saved_step)

    def log(self, first: int, metrics: dict, seconds: float, waited: float) -> None:
        """Log metrics `[steps]` of consecutive steps from `first` on.

        The steps took `seconds`, of which `waited` went into waiting for data.
        """
        steps = len(metrics["loss"])
        self.rates.add(steps, seconds, waited)
        self.meter.add(first, metrics)
        done, examples = first + steps, steps * self.setup.feed.batch_size
        self.progress.update(done, **self.meter.latest(), examples=examples)
        if self.schedule.due(self.schedule.log, done):
            values = {f"train/{k}": v for k, v in self.meter.means().items()}
            rate = float(np.asarray(self.setup.learning_rate(done - 1)))
            self.writer.scalars(done, {**values, "learning_rate": rate})
            self.writer.rates(done, self.rates.since())

    def pause(
        self, state: TrainState, step: int, *, evaluate: bool, save: bool
    ) -> None:
        """Validate, and write a checkpoint if it is due or may be the best one."""
        check_finite(step - 1, {"params": state.params})
        metrics = None
        if evaluate:
            report = self.experiment.validate(local_copy(state.variables()), self.apply)
            metrics = report.metrics
            if metrics:
                self.writer.scalars(step, metrics)
            for name, values in report.histograms.items():
                self.writer.histogram(step, name, values)
            for name, figure in report.figures.items():
                self.writer.image(step, name, plots.to_rgb(figure))
        if not (save or (metrics and self.experiment.best in metrics)):
            return
        self.clock.account(self)
        wall, cpu = self.spent
        meta = {
            "meter": self.meter.pending(),
            "lines": self.writer.lines,
            "wall_s": wall,
            "cpu_s": cpu,
            "model": self.experiment.model(),
            "data": identity(self.experiment),
        }
        self.saved.save(step, state, meta, metrics)
        self.saved_step = step
        self.directory.status("running", step)

    def is_enough(self, step: int) -> bool:
        """Return whether validation has not improved for the schedule's patience."""
        patience = self.schedule.patience
        best = self.saved.best_step() if patience else None
        if best is None:
            return False
        (enough,) = max_over_processes(step - best >= patience)
        return bool(enough)

    def is_pruned(self) -> bool:
        """Return whether the limits of a search, in the run directory, end the run."""
        limits = Limits.read(self.directory.path)
        if limits is None:
            return False
        lines = read_metrics(self.directory.path / METRICS_FILE)
        missed = limits.missed(curve_of(lines, limits.metric))
        (pruned,) = max_over_processes(missed)
        return bool(pruned)

    def prune(self, step: int) -> None:
        """End the run without a result."""
        self.end()
        self.outcome = self._endings.pruned(step, self.saved_step)

    def stop_early(self, state: TrainState) -> None:
        """Finish the run before its last step."""
        self.end()
        self.terminal.note(
            f"Training ends at step {int(state.step):,} of {self.schedule.total:,}: "
            f"validation was best at step {self.saved.best_step():,}."
        )
        self.finish(state)

    def finish(self, state: TrainState) -> None:
        """Evaluate, draw, and write the result, unless a stop is requested."""
        self.interrupts.check()
        step, path = int(state.step), self.directory.path
        self.saved.wait()
        if not is_first():
            self.outcome = Outcome("done", step)
            return
        # Training is safe on disk, so from here on a stop request is met at once.
        self.apply.interrupted = self.interrupts.check
        which = self.setup.settings.train.report
        variables, reported = choose(state, self.saved, which)
        if self.rates.input_wait > INPUT_BOUND:
            self.terminal.note(
                f"Steps awaited their data {self.rates.input_wait:.0%} of the time: "
                "raise data.workers, or keep smaller pictures on the disk."
            )
        self.terminal.note("Evaluating.")
        variables = place(local_copy(variables), self.setup.own_mesh)
        report = self.experiment.report(variables, self.apply)
        write_report(report, path, self.writer, step, self.setup.config)
        self.clock.account(self)
        result = make_result(
            report,
            self.setup,
            steps=step,
            reported=reported,
            spent=self.spent,
            group=self.group,
        )
        if self.setup.feed.window:
            result["input_wait"] = round(self.rates.input_wait, 4)
        self.directory.write("result.json", result)
        self.directory.status("done", step)
        self.terminal.summary("Result", report.metrics)
        self.terminal.results(
            {
                "result": path / "result.json",
                "figures": path / "figures",
                "run directory": path,
            }
        )
        self.outcome = Outcome("done", step, result)
