"""Records of runs, and Markdown tables made from them alone.

A record is what `result.json` holds of a finished run, with its status; of any other
run it has the config and the status.
"""

import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from nfml_jax.errors import UserError
from nfml_jax.names import flatten
from nfml_jax.training.run_directory import read_json
from nfml_jax.training.terminal import format_metric

RESULTS_FILE = "results.jsonl"
"""A sweep's records, one a line."""

ABSENT = "–"


def find_results(paths: Iterable[Path]) -> list[dict]:
    """The records of run directories, of folders of them, or of single files, by path.

    Raises UserError for a path that holds none, and for a file that is no result.
    """
    records = []
    for path in map(Path, paths):
        found = _in_file(path) if path.is_file() else _in_folder(path)
        if not found:
            raise UserError(
                f"{path} holds no result; give run directories that finished, or the "
                "folder above them."
            )
        records += found
    return records


def _in_folder(folder: Path) -> list[dict]:
    if (folder / RESULTS_FILE).is_file():
        return _in_file(folder / RESULTS_FILE)
    here = read_run(folder)
    if here is not None:
        return [here]
    folders = sorted(f for f in folder.glob("*") if f.is_dir())
    return [record for f in folders for record in _in_folder(f)]


def _in_file(file: Path) -> list[dict]:
    if file.suffix != ".jsonl":
        return [_checked(read_json(file), file)]
    try:
        lines = [json.loads(line) for line in file.read_text().splitlines()]
    except (ValueError, UnicodeDecodeError):
        raise UserError(f"{file} is no list of results; restore it.") from None
    return [_checked(line, file) for line in lines]


def read_run(directory: Path) -> dict | None:
    """The record of a run directory; None if nothing has run there."""
    result = read_json(directory / "result.json")
    if result is not None:
        return _checked(result, directory / "result.json")
    config, status = (read_json(directory / f"{n}.json") for n in ("config", "status"))
    if not (isinstance(config, Mapping) and isinstance(status, Mapping)):
        return None
    return unfinished(config, status.get("status", "missing"), status.get("error"))


def unfinished(config: Mapping, status: str, error: str | None = None) -> dict:
    """The record of a run without a result."""
    record = {
        "name": config["name"],
        "config": config,
        "seed": config["seed"],
        "data": {"name": config.get("data", {}).get("name", "")},
        "metrics": {},
        "status": status,
    }
    return record | ({"error": error} if error else {})


def _checked(record: Any, file: Path) -> dict:
    known = record.keys() if isinstance(record, dict) else ()
    missing = {"name", "seed", "data", "metrics"}.difference(known)
    if missing:
        raise UserError(
            f"{file} is no result of a run (it has no {', '.join(sorted(missing))}); "
            "restore it, or take it away."
        )
    return {"status": "done"} | record


def quantity(record: Mapping, name: str) -> float | None:
    """A record's metric, one of `DERIVED`, or another number of its file (`wall_s`)."""
    metrics = record["metrics"]
    if name in DERIVED:
        source, function = DERIVED[name]
        return function(metrics[source]) if source in metrics else None
    value = metrics.get(name, flatten(record).get(name))
    return value if isinstance(value, int | float) else None


# Heading -> the metric it is made from, and how.
DERIVED: dict[str, tuple[str, Callable[[float], float]]] = {
    "test/nll": ("test/log_likelihood", lambda value: -value),
}


def group(records: Sequence[Mapping]) -> dict[tuple[str, str], list[Mapping]]:
    """Records that differ in nothing but `REPEATED`, by (label, name of the data).

    A label is the run's name, and those fields of the config in which runs of the same
    name and data differ.
    """
    alike: dict[tuple[str, str], dict[str, list[Mapping]]] = {}
    for record in records:
        fields = _fields(record)
        key = record["name"], record["data"]["name"]
        known = alike.setdefault(key, {})
        known.setdefault(json.dumps(fields, sort_keys=True), []).append(record)
    groups = {}
    for (name, data), variants in alike.items():
        configs = [_fields(variant[0]) for variant in variants.values()]
        differing = sorted(
            field
            for field in set().union(*configs)
            if len({json.dumps(c.get(field)) for c in configs}) > 1
        )
        for config, variant in zip(configs, variants.values(), strict=True):
            words = [f"{field} {config.get(field, ABSENT)}" for field in differing]
            groups[", ".join([name, *words]), data] = variant
    return groups


REPEATED = "seed", "data.fold"
"""Fields that only say which of several runs of the same thing one is."""


def _fields(record):
    """A run's config without `REPEATED`, and without what is empty.

    A field that came to be later, and is empty, tells no run from an older one.
    """
    fields = flatten(record.get("config", {}))
    return {
        n: v for n, v in fields.items() if n not in REPEATED and v not in ("", None)
    }


def markdown(
    records: Sequence[Mapping], metrics: Sequence[str], digits: int | None = None
) -> str:
    """A row for each group of records, a column for each metric.

    The mean over seeds ± its standard error, and how many seeds; of a cross-validation
    the mean over folds.
    """
    rows = [["run", "data (training / test)", "seeds", *metrics]]
    for (label, _), members in group(records).items():
        cells = [cell(members, metric, digits) for metric in metrics]
        rows.append([label, _data(members), _seeds([members]), *cells])
    return _table(rows, left=2)


def grid(records: Sequence[Mapping], metric: str, digits: int | None = None) -> str:
    """A row for each run, a column for each data set, and one metric in the cells.

    The best of a column is bold, where `BEST` knows what is better.
    """
    groups = group(records)
    labels = dict.fromkeys(label for label, _ in groups)
    data = dict.fromkeys(name for _, name in groups)
    means = {key: _mean(members, metric) for key, members in groups.items()}
    rows = [[metric, "seeds", *data]]
    for label in labels:
        there = [groups[label, name] for name in data if (label, name) in groups]
        rows.append([label, _seeds(there)])
        for name in data:
            text = cell(groups.get((label, name), []), metric, digits)
            column = [m for (_, n), m in means.items() if n == name and m is not None]
            best = BEST[metric](column, default=None) if metric in BEST else None
            bold = best is not None and means.get((label, name)) == best
            rows[-1].append(f"**{text}**" if bold else text)
    return _table(rows, left=1)


BEST = {
    "test/nll": min,
    "test/kl": min,
    "test/log_likelihood": max,
    "test/accuracy": max,
    "test/ess": max,
}


def numbers(records: Sequence[Mapping], metric: str) -> list[float]:
    """The metric of those records that are done and have it.

    Of several folds one number each, the mean over its seeds: those aren't independent.
    """
    by_fold: dict[int | None, list[float]] = {}
    for record in records:
        value = quantity(record, metric) if record["status"] == "done" else None
        if value is not None:
            by_fold.setdefault(_fold(record), []).append(value)
    if len(by_fold) > 1:
        return [float(np.mean(values)) for values in by_fold.values()]
    return [value for values in by_fold.values() for value in values]


def _fold(record) -> int | None:
    return record.get("config", {}).get("data", {}).get("fold")


def cell(records: Sequence[Mapping], metric: str, digits: int | None = None) -> str:
    """Mean ± standard error over runs of one kind, and what became of the others."""
    values = numbers(records, metric)
    lost = [r["status"] for r in records if r["status"] != "done"]
    if not values:
        return ", ".join(dict.fromkeys(lost)) or ABSENT

    def form(value):
        if digits is not None and math.isfinite(value):
            return f"{value:.{digits}f}"
        return format_metric(metric, value)

    text = form(np.mean(values))
    if len(values) > 1:
        text += f" ± {form(np.std(values, ddof=1) / len(values) ** 0.5)}"
    words = [f"{lost.count(s)} {s}" for s in dict.fromkeys(lost)]
    return f"{text} ({', '.join(words)})" if words else text


def _mean(records, metric):
    values = numbers(records, metric)
    return float(np.mean(values)) if values else None


def _data(records):
    known = [r["data"] for r in records if "train" in r["data"]]
    if not known:
        return records[0]["data"]["name"]
    train, test = (_span([d[part] for d in known]) for part in ("train", "test"))
    return f"{known[0]['name']} ({train} / {test})"


def _seeds(groups):
    seeds = _span([len({r["seed"] for r in records}) for records in groups])
    folds = _span([len({_fold(r) for r in records}) for records in groups])
    return seeds if folds == "1" else f"{seeds} of {folds} folds"


def _span(counts):
    least, most = min(counts), max(counts)
    return "–".join(f"{n:,}" for n in dict.fromkeys([least, most]))


def _table(rows, left):
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    lines.insert(1, "|---" * left + "|--:" * (len(rows[0]) - left) + "|")
    return "\n".join(lines)
