"""A trace of some steps, which TensorBoard's profile page and Perfetto open.

It lies in the run directory under `plugins/profile/`, where TensorBoard looks for it;
ui.perfetto.dev opens its `perfetto_trace.json.gz`. A step that is traced is a dispatch
of its own, and awaited, so that both pages know where it begins and how long it took.
"""

import re
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nfml_jax.errors import UserError

if TYPE_CHECKING:
    from nfml_jax.training.run import Run

STEP = "train"  # what a step is called in a trace


@dataclass(frozen=True)
class Span:
    """Steps `first` to `last`: from when `first` are done until `last` are."""

    first: int
    last: int

    @classmethod
    def parse(cls, text: str) -> "Span":
        """From START:STOP; UserError for anything else."""
        match = re.fullmatch(r"(\d+):(\d+)", text)
        if not match or int(match[1]) >= int(match[2]):
            raise UserError(
                f"--profile={text} is not START:STOP with START below STOP; write for "
                "example --profile=100:110."
            )
        return cls(int(match[1]), int(match[2]))

    def check(self, total: int) -> None:
        """UserError if a run of `total` steps is over before."""
        if self.last > total:
            raise UserError(
                f"--profile={self.first}:{self.last} goes beyond the {total:,} steps "
                "of this run; give steps up to that."
            )


class Tracer:
    """Traces a span of a run's steps into its directory; a context manager.

    None traces nothing, and so does a span that begins before the run does. `running`
    is whether steps are traced now.
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
        """Whether at `step` a trace begins or ends: what is before must be done."""
        return step in self._edges

    def next(self, step: int, event: int) -> int:
        """The next step that must begin a dispatch, if there is one before `event`."""
        if self.running:
            return step + 1
        return min([edge for edge in self._edges if edge > step] + [event])

    def step(self, number: int) -> AbstractContextManager:
        """Around a dispatch: names its step in the trace."""
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

            # A million events are kept, and each of Python's calls would be one.
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
