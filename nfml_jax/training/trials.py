"""Running a sweep's trials one after another, in one process.

Each has a run directory as a single run has, and in it `terminal.txt`, what a single
run would have said. `results.jsonl` beside them has a line for each trial so far: its
result, or how it stands. A trial that diverges or fails stops none of the others.
"""

import json
import traceback
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import jax

from nfml_jax.errors import UserError
from nfml_jax.results import RESULTS_FILE, read_run, unfinished
from nfml_jax.training.loop import train_and_evaluate
from nfml_jax.training.run_directory import replace_text
from nfml_jax.training.sweeps import Trial
from nfml_jax.training.terminal import Terminal

LOG = "terminal.txt"
FINAL = ("done", "diverged")


def run_trials(
    make_experiment: Callable,
    trials: Sequence[Trial],
    folder: Path | str,
    *,
    terminal: Terminal,
) -> Counter:
    """Run the trials in `folder`, each in a directory of its id; counts statuses.

    Trials that are done, or diverged, are left as they are; the others go on from where
    they stand. A wish to stop ends the sweep after saving the trial that runs.
    """
    folder = Path(folder).expanduser().resolve()
    _keep_compiled(folder / ".compiled")
    terminal.note(f"{len(trials)} trials in {folder}")
    records: list[dict] = []
    for number, trial in enumerate(trials, start=1):
        record = read_run(folder / trial.id)
        again = record is None or record["status"] not in FINAL
        if again:
            record = _run(make_experiment, trial, folder / trial.id)
        records.append(record)
        lines = [json.dumps(record) + "\n" for record in records]
        replace_text(folder / RESULTS_FILE, "".join(lines))
        how = f"{record['wall_s']:.0f} s" if again and "wall_s" in record else ""
        how = record.get("error", how if again else "before")
        place = f"{number:{len(str(len(trials)))}}/{len(trials)}"
        terminal.note(f"{place}  {trial.id}  {record['status']}  {how}".rstrip())
        if record["status"] == "interrupted":
            terminal.note("The same command goes on with the rest.")
            break
    return Counter(record["status"] for record in records)


def _run(make_experiment, trial: Trial, path: Path) -> dict:
    """Train one trial; the record of how that ended."""
    path.mkdir(parents=True, exist_ok=True)
    with (path / LOG).open("a", encoding="utf-8") as stream:
        terminal = Terminal(stream=stream, interactive=False)
        try:
            train_and_evaluate(make_experiment, trial.config, path, terminal=terminal)
        except Exception as problem:
            if not isinstance(problem, UserError):
                traceback.print_exc(file=stream)
            error = str(problem) or type(problem).__name__
            return unfinished(trial.config, "failed", error.splitlines()[0])
    return read_run(path)


def _keep_compiled(folder: Path) -> None:
    """Compile what trials have in common once, unless a cache is set up already."""
    if jax.config.jax_compilation_cache_dir is None:
        jax.config.update("jax_compilation_cache_dir", str(folder))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.2)
