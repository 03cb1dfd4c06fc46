"""Running a sweep's trials: what is still to do, by an executor, to the end.

Each has a run directory as a single run has, and in it `terminal.txt`, what a single
run would have said. `results.jsonl` beside them has a line for each trial: its result,
or how it stands. A trial that diverges or fails stops none of the others.
"""

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from nfml_jax.distributed.interrupts import Interrupts
from nfml_jax.errors import UserError
from nfml_jax.runs import RESULTS_FILE, read_run
from nfml_jax.runs.run_directory import replace_text
from nfml_jax.sweeps.executors import Executor
from nfml_jax.sweeps.jobs import ENDED, Job, begin, read_status, status_before
from nfml_jax.sweeps.overrides import Trial
from nfml_jax.sweeps.programs import grouped
from nfml_jax.terminal.sweep_view import SweepView
from nfml_jax.terminal.terminal import Terminal
from nfml_jax.training.failures import explained

RETRIED = ("failed", "diverged")
WIDEST = 60  # characters of a column


def plan(
    make_experiment: Callable,
    trials: Sequence[Trial],
    folder: Path | str,
    *,
    vmap: str = "auto",
    retry: Sequence[str] = (),
) -> list[Job]:
    """The jobs that are left to do of a sweep in `folder`, each trial in its id's.

    What is done is done; what diverged or failed is run again only if `retry` names
    that status. `vmap` is the mode of `nfml_jax.sweeps.programs.grouped`.
    """
    unknown = set(retry) - set(RETRIED)
    if unknown:
        raise UserError(
            f"--retry={','.join(retry)} names {sorted(unknown)[0]!r}; a trial is "
            f"retried if it is {' or '.join(RETRIED)}."
        )
    folder = Path(folder).expanduser().resolve()
    left = [
        trial
        for trial in trials
        if (status := read_status(folder / trial.id)) not in ENDED or status in retry
    ]
    return [
        Job(make_experiment, tuple(group), tuple(folder / t.id for t in group))
        for group in grouped(left, vmap)
    ]


def run_trials(
    jobs: Sequence[Job],
    trials: Sequence[Trial],
    folder: Path | str,
    *,
    executor: Executor,
    terminal: Terminal,
) -> list[dict]:
    """Run the jobs that `plan` made of the trials in `folder`; the trials' records.

    A wish to stop ends the sweep after saving what runs.
    """
    folder = Path(folder).expanduser().resolve()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for job in jobs:
            _forget_divergence(job)
            begin(job)
    except OSError as problem:
        raise UserError(
            f"cannot write in {folder} ({problem.strerror}); give a --workdir that you "
            "may write to."
        ) from None
    paths = [folder / trial.id for trial in trials]
    records = {path: read_run(path) for path in paths}
    left = sum(len(job.trials) for job in jobs)
    before = f", {len(trials) - left} of them before" if left < len(trials) else ""
    terminal.note(f"{_count(len(trials), 'trial')} in {folder}{before}")
    try:
        with Interrupts() as interrupts, SweepView(terminal, paths) as view:
            _keep(folder, records)
            for job in executor.run(jobs, interrupts):
                for path in job.paths:
                    records[path] = read_run(path)
                    view.ended(path, records[path])
                _keep(folder, records)
    except OSError as problem:
        raise explained(problem, folder) from problem
    if any(r["status"] in ("interrupted", "pending") for r in records.values()):
        terminal.note("The same command goes on with the rest.")
    return list(records.values())


def listing(trials: Sequence[Trial], jobs: Sequence[Job], folder: Path | str) -> str:
    """A table of trials: what each changes, how it stands, which program runs it."""
    places = {t.id: i for i, job in enumerate(jobs, start=1) for t in job.trials}
    fields = list(dict.fromkeys(name for trial in trials for name in trial.override))
    rows = [["trial", *fields, "status", "program"]]
    for trial in trials:
        values = [
            repr(trial.override[f]) if f in trial.override else "" for f in fields
        ]
        status = status_before(Path(folder).expanduser() / trial.id)
        rows.append([trial.id, *values, status, str(places.get(trial.id, ""))])
    widths = [min(max(map(len, column)), WIDEST) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join(c[:w].ljust(w) for c, w in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
    total = f"{_count(len(trials), 'trial')}, {_count(len(jobs), 'program')}"
    if len(jobs) < len(places):
        total += " of " + ", ".join(str(len(job.trials)) for job in jobs)
    return "\n".join([*lines, total])


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _forget_divergence(job: Job) -> None:
    """From its last checkpoint a run that diverged would only diverge again."""
    for path, status in zip(job.paths, job.statuses(), strict=True):
        if status == "diverged":
            shutil.rmtree(path / "checkpoints", ignore_errors=True)


def _keep(folder: Path, records: dict) -> None:
    lines = [json.dumps(record) + "\n" for record in records.values()]
    replace_text(folder / RESULTS_FILE, "".join(lines))
