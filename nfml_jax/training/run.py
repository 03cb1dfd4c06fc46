"""One run directory's side of training: what is logged, kept, evaluated, and said.

Whoever trains, one run alone or several in one program, hands a `Run` its metrics and
its state; what it leaves on disk is the same.
"""

import contextlib
import traceback
from collections.abc import Callable
from dataclasses import dataclass

from nfml_jax.errors import UserError
from nfml_jax.names import flatten
from nfml_jax.training.checkpoints import Checkpoints
from nfml_jax.training.failures import divergence_in_words, interruption_in_words
from nfml_jax.training.finish import choose, make_result, write_report
from nfml_jax.training.inference import BatchedApply
from nfml_jax.training.interrupts import Interrupted, Interrupts
from nfml_jax.training.meter import Diverged, Meter, check_finite
from nfml_jax.training.processes import is_first, largest, own
from nfml_jax.training.rates import Clock, Rates
from nfml_jax.training.run_directory import RunDirectory
from nfml_jax.training.same_data import check_same_data, identity
from nfml_jax.training.setup import Setup
from nfml_jax.training.sharding import place
from nfml_jax.training.step import TrainState
from nfml_jax.training.terminal import Terminal
from nfml_jax.training.units import format_flops
from nfml_jax.training.writers import NoWriter, RunWriter

# From this share of the time on, waiting for data is worth a word.
INPUT_BOUND = 0.1


@dataclass
class Outcome:
    """How a run ended: "done", "interrupted", "diverged" or "failed", at which step.

    "failed" is said of one of several runs, which must not stop the others; alone, a
    run raises instead.
    """

    status: str
    step: int
    result: dict | None = None


class Run:
    """A run directory from where it stands to its result; a context manager.

    `outcome` is None while the run goes on. `group`, if it is trained together with
    others, is what `result.json` says of that.
    """

    def __init__(
        self,
        setup: Setup,
        directory: RunDirectory,
        terminal: Terminal,
        interrupts: Interrupts,
        clock: Clock,
        group: dict | None = None,
    ):
        self.setup, self.directory, self.terminal = setup, directory, terminal
        self.interrupts, self.clock, self.group = interrupts, clock, group
        self.experiment, self.schedule = setup.experiment, setup.schedule
        self.apply = BatchedApply(setup.own_mesh, compiled=setup.compiled)
        self.outcome: Outcome | None = None
        self.kept = 0
        self._opened = contextlib.ExitStack()

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        return self._opened.__exit__(*exception)

    def restore(self, state: TrainState) -> TrainState:
        """The newest state on disk, or this one; says what will run."""
        path, best = self.directory.path, self.experiment.best
        saved = Checkpoints(path / "checkpoints", best=best, write=True)
        self.saved = self._opened.enter_context(saved)
        state, meta = self.saved.restore(state, self._check_data) or (state, {})
        self.kept = self.first = int(state.step)
        self.directory.status("running", self.first)
        self.spent = meta.get("wall_s", 0.0), meta.get("cpu_s", 0.0)
        self.meter = Meter(meta.get("meter"))
        writer = NoWriter()
        if is_first():
            writer = RunWriter(path, first_step=self.first, lines=meta.get("lines", 0))
        self.writer = self._opened.enter_context(writer)
        return state

    def _check_data(self, meta: dict) -> None:
        check_same_data(self.experiment, meta, self.directory.path)

    def begin(self, flops: float) -> None:
        """Training begins: say what will run, and how far it is, until it ends.

        `flops` are those of a step.
        """
        self._header(flops)
        total, every = self.schedule.total, self.schedule.log
        batch_size = self.setup.feed.batch_size
        self.rates = Rates(batch_size, flops)
        self.progress = self.terminal.progress(total, self.first, every)
        self.progress.flops = flops / batch_size
        self._opened.enter_context(self.progress)

    def end(self) -> None:
        """Training has ended; a second call does nothing."""
        self.progress.__exit__(None, None, None)

    def _header(self, flops):
        rows = self.setup.describe()
        if flops:
            rows["arithmetic"] = f"{format_flops(flops)} a step"
        rows["run directory"] = str(self.directory.path)
        if self.group is not None:
            rows["one of"] = f"{self.group['runs']} runs in one program"
        self.terminal.header(self.setup.config["name"], rows)
        for sentence in self.experiment.warnings():
            self.terminal.warning(sentence)
        if self.first:
            self.terminal.note(f"Resuming from the checkpoint of step {self.first:,}.")

    def attempt(self, work: Callable, *arguments, **options) -> None:
        """Do a part of the run's work; what ends the run becomes its outcome.

        Of a run alone, anything but a divergence and a wish to stop is raised.
        """
        try:
            work(*arguments, **options)
        except Interrupted as wish:
            self._interrupted(str(wish))
        except Diverged as divergence:
            self._diverged(divergence)
        except Exception as problem:
            if self.group is None:
                raise
            self.fail(problem)

    def log(self, first: int, metrics: dict, seconds: float, waited: float) -> None:
        """Take metrics `[steps]` of consecutive steps from `first` on.

        They took `seconds`, of which their data was `waited` for.
        """
        steps = len(metrics["loss"])
        self.rates.add(steps, seconds, waited)
        self.meter.add(first, metrics)
        done, examples = first + steps, steps * self.setup.feed.batch_size
        self.progress.update(done, **self.meter.latest(), examples=examples)
        if self.schedule.due(self.schedule.log, done):
            values = {f"train/{k}": v for k, v in self.meter.means().items()}
            rate = float(self.setup.learning_rate(done - 1))
            self.writer.scalars(done, {**values, "learning_rate": rate})
            self.writer.rates(done, self.rates.since())

    def pause(
        self, state: TrainState, step: int, *, evaluate: bool, save: bool
    ) -> None:
        """Validate, and write a checkpoint: one that is due, or may be the best."""
        check_finite(step - 1, {"params": state.params})
        metrics = None
        if evaluate:
            report = self.experiment.validate(own(state.variables()), self.apply)
            metrics = report.metrics
            if metrics:
                self.writer.scalars(step, metrics)
            for name, values in report.histograms.items():
                self.writer.histogram(step, name, values)
        if not (save or (metrics and self.experiment.best in metrics)):
            return
        self.clock.charge(self)
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
        self.kept = step
        self.directory.status("running", step)

    def is_enough(self, step: int) -> bool:
        """Whether validation was no better for as long as the schedule has patience."""
        patience = self.schedule.patience
        best = self.saved.best_step() if patience else None
        if best is None:
            return False
        (enough,) = largest(step - best >= patience)  # of several processes, all stop
        return bool(enough)

    def stop_early(self, state: TrainState) -> None:
        """`finish` before the last step."""
        self.end()
        self.terminal.note(
            f"Training ends at step {int(state.step):,} of {self.schedule.total:,}: "
            f"validation was best at step {self.saved.best_step():,}."
        )
        self.finish(state)

    def finish(self, state: TrainState) -> None:
        """Evaluate, draw, and write the result, unless a stop is wanted."""
        self.interrupts.check()
        step, path = int(state.step), self.directory.path
        self.saved.wait()
        if not is_first():
            self.outcome = Outcome("done", step)
            return
        # Training is safe on disk, so from here on a wish to stop is granted at once.
        self.apply.interrupted = self.interrupts.check
        variables, reported = choose(state, self.saved, self.setup.settings["report"])
        if self.rates.input_wait > INPUT_BOUND:
            self.terminal.note(
                f"Steps awaited their data {self.rates.input_wait:.0%} of the time: "
                "raise data.workers, or keep smaller pictures on the disk."
            )
        self.terminal.note("Evaluating.")
        variables = place(own(variables), self.setup.own_mesh)
        report = self.experiment.report(variables, self.apply)
        write_report(report, path, self.writer, step, self.setup.config)
        self.clock.charge(self)
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

    def _interrupted(self, wish):
        self.saved.wait()
        self.directory.status("interrupted", self.kept)
        path, total = self.directory.path, self.schedule.total
        self.terminal.note(interruption_in_words(wish, self.kept, total, path))
        self.outcome = Outcome("interrupted", self.kept)

    def _diverged(self, divergence):
        self.end()
        self.saved.wait()
        rate = float(self.setup.learning_rate(divergence.step))
        sentence = divergence_in_words(divergence, rate, self.kept)
        self.directory.status(
            "diverged",
            self.kept,
            error=sentence,
            diverged_at=divergence.step,
            culprits=list(divergence.values),
        )
        self.writer.hparams(flatten(self.setup.config), done=False)
        self.terminal.warning(sentence)
        self.outcome = Outcome("diverged", divergence.step)

    def fail(self, problem: Exception) -> None:
        """Something broke that ends this run, and none of the others."""
        if not isinstance(problem, UserError):
            self.terminal.note("".join(traceback.format_exception(problem)))
        error = f"{type(problem).__name__}: {problem}"
        self.terminal.warning(error)
        self.directory.status("failed", self.kept, error=error)
        self.outcome = Outcome("failed", self.kept)
