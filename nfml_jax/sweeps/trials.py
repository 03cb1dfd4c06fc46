"""The run of a sweep's remaining trials by an executor.

Each trial has a run directory as a single run has, and in it `terminal.txt`, the
terminal output of a single run. `results.jsonl` beside them has a line for each trial:
its result, or its status. A trial that diverges or fails stops no other trial.
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
    """Return the remaining jobs of a sweep in `folder`, whose folders are trial ids.

    Finished trials are skipped. Trials that diverged or failed run again only if
    `retry` names that status. `vmap` is the mode of `nfml_jax.sweeps.programs.grouped`.
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
    """Run the jobs of `plan` for the trials in `folder`; return the trials' records.

    A stop request ends the sweep after running trials have saved their state.
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
                    records[path] = record = read_run(path)
                    assert record is not None  # the job has ended
                    view.ended(path, record)
                _keep(folder, records)
    except OSError as problem:
        raise explained(problem, folder) from problem
    found = [record for record in records.values() if record is not None]
    if any(r["status"] in ("interrupted", "pending") for r in found):
        terminal.note("The same command runs the remaining trials.")
    return found


def listing(trials: Sequence[Trial], jobs: Sequence[Job], folder: Path | str) -> str:
    """Return a table of trials: their overrides, their status, and their program."""
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
    """Remove the checkpoints of diverged runs, which would only diverge again."""
    for path, status in zip(job.paths, job.statuses(), strict=True):
        if status == "diverged":
            shutil.rmtree(path / "checkpoints", ignore_errors=True)


def _keep(folder: Path, records: dict) -> None:
    lines = [json.dumps(record) + "\n" for record in records.values()]
    replace_text(folder / RESULTS_FILE, "".join(lines))
