"""The trials of a search: optuna proposes values, and the results are reported to it.

The state of a search is the list of values that it asked for, `search.json`, and the
trials' run directories. What is asked next depends on these and the seed alone, so a
search that was killed goes on as if it had not been.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from nfml_jax.errors import UserError
from nfml_jax.ops.extras import import_extra
from nfml_jax.ops.names import did_you_mean
from nfml_jax.runs import read_metrics, read_run
from nfml_jax.runs.file_fields import SEARCH
from nfml_jax.runs.pruning import curve_of, median_limits
from nfml_jax.runs.records import quantity
from nfml_jax.runs.run_directory import replace_json
from nfml_jax.runs.run_files import read_checked
from nfml_jax.runs.writers import METRICS_FILE
from nfml_jax.sweeps.executors import Executor
from nfml_jax.sweeps.jobs import ENDED, read_status
from nfml_jax.sweeps.overrides import Override, Sweep, Trial, make_trials
from nfml_jax.sweeps.searches import Search
from nfml_jax.sweeps.trials import plan, run_trials
from nfml_jax.terminal.terminal import Terminal

FILE = "search.json"
STARTUP = 4
"""Trials that finish before others are pruned, and before optuna uses its model."""
TRIES = 100
"""Attempts at values that were not asked for before."""


@dataclass(frozen=True)
class Past:
    """A trial that has ended: its values, its status, and its validations by step."""

    values: Override
    status: str
    value: float | None
    curve: Mapping[int, float]

    def frozen(self, optuna, spaces):
        """Return the trial as optuna represents it."""
        states = optuna.trial.TrialState
        state = {"done": states.COMPLETE, "pruned": states.PRUNED}.get(
            self.status, states.FAIL
        )
        return optuna.trial.create_trial(
            params=self.values,
            distributions=spaces,
            value=self.value if state == states.COMPLETE else None,
            intermediate_values=dict(self.curve),
            state=state,
        )


def run_search(
    make_experiment: Callable,
    config: dict,
    wanted: Search,
    folder: Path | str,
    *,
    executor: Executor,
    terminal: Terminal,
    at_once: int = 1,
    trials_of: Callable[[Sweep], list[Trial]] | None = None,
) -> list[dict]:
    """Run a search over `config` in `folder`, or continue it; return the records.

    Args:
      make_experiment: the maker of experiments.
      config: the config that the values are put into.
      wanted: the search.
      folder: the folder of the run directories and of `search.json`.
      executor: the executor of trials.
      terminal: the terminal that reports progress.
      at_once: trials that are asked for together.
      trials_of: a function that makes the trials of overrides, and checks them.

    Raises UserError if the folder holds another search, or for values that no run can
    take.
    """
    folder = Path(folder).expanduser().resolve()
    make = trials_of or (lambda sweep: make_trials(config, sweep))
    asked = _read_asked(folder, wanted)
    records: list[dict] = []
    while True:
        sweep = [{**wanted.fixed, **values} for values in asked]
        trials = make(sweep) if sweep else []
        past = [
            _past(folder / trial.id, values, wanted.metric)
            for trial, values in zip(trials, asked, strict=True)
        ]
        if all(trial.status in ENDED for trial in past):
            more = min(at_once, wanted.trials - len(asked))
            new = ask(wanted, past, more) if more > 0 else []
            if not new:
                break
            asked += new
            folder.mkdir(parents=True, exist_ok=True)
            content = {"search": wanted.words(), "seed": wanted.seed, "asked": asked}
            replace_json(folder / FILE, content)
            continue
        jobs = plan(make_experiment, trials, folder, vmap="off")
        if wanted.prune:
            _write_limits(wanted, past, [job.paths[0] for job in jobs])
        records = run_trials(jobs, trials, folder, executor=executor, terminal=terminal)
        if any(record["status"] not in ENDED for record in records):
            return records
    _tell_best(wanted, trials, past, folder, terminal)
    return records or [r for t in trials if (r := read_run(folder / t.id))]


def _read_asked(folder: Path, wanted: Search) -> list[Override]:
    """Return the values that optuna has proposed to the search in a folder."""
    content = read_checked(folder / FILE, SEARCH, "state of a search")
    if content is None:
        return []
    trials = wanted.words().partition(" trials ")[2]
    if not content["search"].endswith(trials):
        raise UserError(
            f"{folder} holds {content['search']}; give another --workdir for "
            f"{wanted.words()}."
        )
    return content["asked"]


def _past(path: Path, values: Override, metric: str) -> Past:
    """Return the record of a trial in `path`; UserError if it lacks the metric."""
    status = read_status(path)
    lines = read_metrics(path / METRICS_FILE) if (path / METRICS_FILE).exists() else []
    curve, value = curve_of(lines, metric), None
    record = read_run(path) if status == "done" else None
    if record is not None:
        value = quantity(record, metric)
        if value is None and curve:
            reported = record.get("reported", {}).get("step")
            value = curve.get(reported, curve[max(curve)])
        if value is None:
            known = sorted({*record["metrics"], *(name for x in lines for name in x)})
            raise UserError(
                f"the trial in {path} has no metric {metric!r}"
                f"{did_you_mean(metric, known)}; it has {', '.join(known)}."
            )
    return Past(values, status, value, curve)


def _write_limits(wanted: Search, past: Sequence[Past], paths: Sequence[Path]) -> None:
    """Write the median curve of finished trials into the directories of new ones."""
    curves = [trial.curve for trial in past if trial.status == "done" and trial.curve]
    limits = median_limits(wanted.metric, wanted.mode == "max", curves, least=STARTUP)
    for path in paths:
        if limits is not None:
            path.mkdir(parents=True, exist_ok=True)
            limits.write(path)


def _tell_best(wanted, trials, past, folder, terminal) -> None:
    done = [
        (trial.value, trial, run)
        for trial, run in zip(past, trials, strict=True)
        if trial.status == "done" and trial.value is not None
    ]
    if not done:
        terminal.note("No trial of the search is done.")
        return
    sign = 1 if wanted.mode == "max" else -1
    value, best, run = max(done, key=lambda entry: sign * entry[0])
    words = " ".join(f"{name}={value!r}" for name, value in best.values.items())
    terminal.note(
        f"The best {wanted.metric} of {len(done)} finished trials is {value:.4g}, with "
        f"{words}, in {folder / run.id}."
    )


def ask(wanted: Search, past: Sequence[Past], count: int) -> list[Override]:
    """Return the next values to try, at most `count` that were not tried before."""
    optuna = import_extra("optuna", "a search")
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    spaces = {field.name: field.distribution(optuna) for field in wanted.fields}
    study = optuna.create_study(
        direction="maximize" if wanted.mode == "max" else "minimize",
        sampler=optuna.samplers.TPESampler(
            seed=wanted.seed + len(past), n_startup_trials=STARTUP, constant_liar=True
        ),
    )
    for trial in past:
        study.add_trial(trial.frozen(optuna, spaces))
    known = [trial.values for trial in past]
    asked: list[Override] = []
    for _ in range(TRIES):
        if len(asked) == count:
            break
        values = study.ask(spaces).params
        if values not in known:
            known.append(values)
            asked.append(values)
    return asked
