"""The ends of a run without a result: a stop request, divergence, pruning, failure."""

import traceback
from dataclasses import dataclass

import numpy as np

from nfml_jax.errors import UserError
from nfml_jax.ops.names import flatten
from nfml_jax.runs.run_directory import RunDirectory
from nfml_jax.runs.writers import NoWriter, RunWriter
from nfml_jax.terminal.terminal import Terminal
from nfml_jax.training.checkpoints import Checkpoints
from nfml_jax.training.failures import divergence_in_words, interruption_in_words
from nfml_jax.training.meter import Diverged
from nfml_jax.training.setup import Setup


@dataclass
class Outcome:
    """The end of a run: its status, its step, and its result if it is done.

    `status` is "done", "interrupted", "diverged", "pruned" or "failed". Only a run in a
    program of several ends as "failed"; a single run raises the exception.
    """

    status: str
    step: int
    result: dict | None = None


@dataclass(frozen=True)
class Endings:
    """Ends of a run: each writes the run's status, prints a sentence, and is returned.

    `saved_step` is the step of the newest checkpoint, from which the run can resume.
    """

    setup: Setup
    directory: RunDirectory
    terminal: Terminal
    saved: Checkpoints
    writer: RunWriter | NoWriter

    def interrupted(self, request: str, saved_step: int) -> Outcome:
        """End the run because of a stop request, which `request` names."""
        self.saved.wait()
        self.directory.status("interrupted", saved_step)
        path, total = self.directory.path, self.setup.schedule.total
        self.terminal.note(interruption_in_words(request, saved_step, total, path))
        return Outcome("interrupted", saved_step)

    def diverged(self, divergence: Diverged, saved_step: int) -> Outcome:
        """End the run because a value is not finite."""
        self.saved.wait()
        rate = float(np.asarray(self.setup.learning_rate(divergence.step)))
        remedy = self.setup.experiment.remedy
        sentence = divergence_in_words(divergence, rate, saved_step, remedy)
        self.directory.status(
            "diverged",
            saved_step,
            error=sentence,
            diverged_at=divergence.step,
            culprits=list(divergence.values),
        )
        self.writer.hparams(flatten(self.setup.config), done=False)
        self.terminal.warning(sentence)
        return Outcome("diverged", divergence.step)

    def pruned(self, step: int, saved_step: int) -> Outcome:
        """End the run at `step` because the median of a search is better."""
        self.saved.wait()
        sentence = (
            f"The search ends the run at step {step:,}: its validation is worse than "
            "the median of finished trials."
        )
        self.directory.status("pruned", saved_step, reason=sentence)
        self.writer.hparams(flatten(self.setup.config), done=False)
        self.terminal.note(sentence)
        return Outcome("pruned", step)

    def failed(self, problem: Exception, saved_step: int) -> Outcome:
        """End the run because of `problem`, and none of the others."""
        if not isinstance(problem, UserError):
            self.terminal.note("".join(traceback.format_exception(problem)))
        error = f"{type(problem).__name__}: {problem}"
        self.terminal.warning(error)
        self.directory.status("failed", saved_step, error=error)
        return Outcome("failed", saved_step)
