"""A trace of some steps, which TensorBoard's profile page and Perfetto open.

The trace lies in the run directory under `plugins/profile/`, where TensorBoard looks
for it; ui.perfetto.dev opens its `perfetto_trace.json.gz`. Each traced step is a
separate, awaited dispatch, so that both pages know its begin and its duration.
"""

import re
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nfml_jax.errors import UserError

if TYPE_CHECKING:
    from nfml_jax.training.run import Run

STEP = "train"  # the name of a step in a trace


@dataclass(frozen=True)
class Span:
    """An interval of steps, from the end of step `first` to the end of step `last`."""

    first: int
    last: int

    @classmethod
    def parse(cls, text: str) -> "Span":
        """Parse START:STOP; UserError for anything else."""
        match = re.fullmatch(r"(\d+):(\d+)", text)
        if not match or int(match[1]) >= int(match[2]):
            raise UserError(
                f"--profile={text} is not START:STOP with START below STOP; write for "
                "example --profile=100:110."
            )
        return cls(int(match[1]), int(match[2]))

    def check(self, total: int) -> None:
        """Raise UserError if a run of `total` steps ends before the interval does."""
        if self.last > total:
            raise UserError(
                f"--profile={self.first}:{self.last} goes beyond the {total:,} steps "
                "of this run; give steps up to that."
            )


class Tracer:
    """A context manager that traces an interval of a run's steps into its directory.

    Without an interval, or with one that begins before the run does, nothing is traced.
    `running` is True while steps are traced.
    """

    def __init__(self, span: Span | None, run: "Run"):
        self._run, self.running = run, False
        self._edges: tuple[int, ...] = ()
        if span and span.first < run.first:
            run.terminal.warning(
                f"there will be no trace of steps {span.first} to {span.last}: the run "
                f"goes on from step {run.first}."
            )
        elif span:
            self._edges = span.first, span.last

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.running:
            self._stop()

    def due(self, step: int) -> bool:
        """Return whether a trace begins or ends at `step`."""
        return step in self._edges

    def next(self, step: int, event: int) -> int:
        """Return the next step that must begin a dispatch, at most `event`."""
        if self.running:
            return step + 1
        return min([edge for edge in self._edges if edge > step] + [event])

    def step(self, number: int) -> AbstractContextManager:
        """Name a step in the trace; a context manager around its dispatch."""
        if not self.running:
            return nullcontext()
        from jax.profiler import StepTraceAnnotation

        return StepTraceAnnotation(STEP, step_num=number)

    def turn(self, step: int) -> None:
        """Begin or end the trace that is due at `step`."""
        if self.running:
            self._stop()
        elif step == self._edges[0]:
            import jax

            # A trace holds a million events, which Python's calls alone would fill.
            options = jax.profiler.ProfileOptions()
            options.python_tracer_level = 0
            jax.profiler.start_trace(
                self._run.directory.path,
                create_perfetto_trace=True,
                profiler_options=options,
            )
            self.running = True

    def _stop(self):
        import jax

        self.running = False
        jax.profiler.stop_trace()
        folder = self._run.directory.path / "plugins" / "profile"
        self._run.terminal.note(f"The trace is in {folder}.")
