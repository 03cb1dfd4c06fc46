"""Run kept results again, and compare: `nfml reproduce RESULT...`.

A RESULT is a result.json, or a folder of them, of which `--only "maf moons seed0"`
chooses by name, data and seed. Its config is brought up to date and run with the same
seed; each metric of the new run is printed beside the kept one, with the
spread of the kept runs that differ only in the seed. The exit code is 1 if a metric
lies further from the kept one than `--spreads` times that spread. If only one seed was
kept, a metric may differ by 2 % of its value, and by 0.01 in any case.

Results depend on the number of threads, as they do on the seed, where a run draws its
own data (variational inference), and on the device and the versions of libraries.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nfml_jax.cli.command import command, make_parser
from nfml_jax.cli.laboratory import enter
from nfml_jax.errors import UserError
from nfml_jax.runs.migrations import up_to_date
from nfml_jax.runs.records import find_results
from nfml_jax.runs.replicates import group

DIFFERENT = 1
"""The exit code where a metric is outside its limit."""

RELATIVE, ABSOLUTE = 0.02, 0.01  # limits of a metric that was kept for one seed


@dataclass(frozen=True)
class Compared:
    """A metric of a kept run and of its repetition, and the difference allowed."""

    metric: str
    kept: float
    new: float
    spread: float | None
    limit: float

    @property
    def holds(self) -> bool:
        """Return whether the new value is within the limit of the kept one."""
        if np.isnan(self.kept) or np.isnan(self.new):
            return bool(np.isnan(self.kept) and np.isnan(self.new))
        return self.kept == self.new or abs(self.new - self.kept) <= self.limit


def compare(
    kept: Mapping[str, float],
    new: Mapping[str, float],
    siblings: Sequence[Mapping[str, float]],
    spreads: float = 3.0,
) -> list[Compared]:
    """Return a comparison of each metric of a kept run.

    Args:
      kept: metrics of the kept run.
      new: metrics of its repetition; one that is missing is NaN.
      siblings: metrics of all kept runs that differ in the seed alone.
      spreads: the limit in standard deviations over the siblings.
    """
    rows = []
    for metric, value in kept.items():
        values = [s[metric] for s in siblings if metric in s]
        spread = float(np.std(values, ddof=1)) if len(values) > 1 else None
        limit = max(RELATIVE * abs(value), ABSOLUTE)
        if spread is not None:
            limit = max(spreads * spread, 1e-6 * abs(value))
        rows.append(
            Compared(metric, value, new.get(metric, float("nan")), spread, limit)
        )
    return rows


def siblings_of(record: Mapping, around: Sequence[Mapping]) -> list[Mapping]:
    """Return the metrics of the records that differ from `record` only in the seed."""
    for members in group([record, *around]):
        if any(member is record for member in members.records):
            others = {r["seed"]: r["metrics"] for r in members.records[1:]}
            return list((others | {record["seed"]: record["metrics"]}).values())
    return []


def run_again(record: Mapping, workdir: Path, manual_dir: str | None) -> dict[str, Any]:
    """Return the result of the record's config, run in `workdir`."""
    enter()
    from experiments import make_experiment
    from nfml_jax.training.loop import train_and_evaluate

    if "config" not in record:
        raise UserError(
            f"the result of {record['name']} keeps no config; it can't be run again."
        )
    config = up_to_date(record["config"])
    if manual_dir and "manual_dir" in config.get("data", {}):
        config["data"]["manual_dir"] = manual_dir
    outcome = train_and_evaluate(make_experiment, config, workdir)
    if outcome.result is None:
        raise UserError(
            f"the run in {workdir} ended as {outcome.status}; the same command resumes "
            "an interrupted one."
        )
    return outcome.result


def _table(rows: Sequence[Compared]) -> str:
    width = max(len(row.metric) for row in rows)
    lines = [f"{'':{width}}  {'kept':>11} {'new':>11} {'spread':>9} {'limit':>9}"]
    for row in rows:
        spread = "-" if row.spread is None else f"{row.spread:.3g}"
        lines.append(
            f"{row.metric:{width}}  {row.kept:11.6g} {row.new:11.6g} {spread:>9} "
            f"{row.limit:9.3g}{'' if row.holds else '  OUTSIDE'}"
        )
    return "\n".join(lines)


def _workdir(folder: Path, record: Mapping) -> Path:
    fold = record.get("config", {}).get("data", {}).get("fold")
    parts = [record["name"], record["data"]["name"], f"seed{record['seed']}"]
    return folder / "-".join(parts + ([f"fold{fold}"] if fold is not None else []))


def chosen(records: Sequence[Mapping], words: str) -> list[Mapping]:
    """Return the records whose name, data and seed have all of these words.

    Raises:
      UserError: if there are none.
    """
    wanted = set(words.replace(",", " ").split())
    labels = [_label(record).split() for record in records]
    found = [r for r, label in zip(records, labels, strict=True) if wanted <= {*label}]
    if records and not found:
        known = ", ".join(sorted({word for label in labels for word in label}))
        raise UserError(
            f"no result has all words of --only={words!r}; there are {known}."
        )
    return found


def _label(record: Mapping) -> str:
    return f"{record['name']} {record['data']['name']} seed{record['seed']}"


def _around(path: Path) -> Path:
    """Return the folder of the runs that a result may be one of."""
    if path.is_dir() and not (path / "result.json").exists():
        return path
    return path.parent if path.is_dir() else path.parents[1]


def _run(options) -> int:
    """Reproduce the results; return the number of metrics outside their limits."""
    outside = 0
    for path in options.results:
        for record in chosen(find_results([path]), options.only):
            around = find_results([_around(path)])
            new = run_again(
                record, _workdir(options.workdir, record), options.manual_dir
            )
            siblings = siblings_of(record, around)
            rows = compare(record["metrics"], new["metrics"], siblings, options.spreads)
            print(
                f"\n{record['name']}, {record['data']['name']}, seed {record['seed']}"
            )
            if record["data"].get("digest") != new["data"].get("digest"):
                print(
                    "WARNING: the data is another "
                    f"({record['data'].get('digest')} was {new['data'].get('digest')})."
                )
            print(_table(rows))
            outside += sum(not row.holds for row in rows)
    print(f"\n{outside} metrics outside their limits." if outside else "\nAll hold.")
    return outside


@command
def main(arguments=None) -> int:
    """Run the command; return 0, or `DIFFERENT`."""
    parser = make_parser("reproduce", __doc__)
    parser.add_argument("results", nargs="+", type=Path, help="files or folders")
    parser.add_argument(
        "--only",
        default="",
        metavar="WORDS",
        help="words that a run's name, data and seed must have: 'maf moons seed0'",
    )
    parser.add_argument("--manual_dir", help="the folder of the raw data files")
    parser.add_argument(
        "--workdir",
        type=Path,
        default=Path("runs/reproduced"),
        help="the folder of the new run directories",
    )
    parser.add_argument(
        "--spreads", type=float, default=3.0, help="standard deviations allowed"
    )
    return DIFFERENT if _run(parser.parse_args(arguments)) else 0
