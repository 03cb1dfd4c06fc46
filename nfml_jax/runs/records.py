"""Records of runs, read from their directories.

The record of a finished run is the content of `result.json` with the run's status; the
record of any other run has its config and its status.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from nfml_jax.errors import UserError
from nfml_jax.ops.names import did_you_mean, flatten
from nfml_jax.runs.file_fields import RESULT
from nfml_jax.runs.run_files import (
    checked,
    read_config,
    read_json,
    read_result,
    read_status_file,
)

RESULTS_FILE = "results.jsonl"
"""A sweep's records, one a line."""


def find_results(paths: Iterable[Path]) -> list[dict]:
    """Return the records of run directories, of folders of them, or of files, by path.

    Raises UserError for a path without a record, and for a file that is not a result.
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
        lines = [json.loads(line) for line in file.read_bytes().decode().splitlines()]
    except (OSError, ValueError, RecursionError):
        raise UserError(f"{file} is no list of results; restore it.") from None
    return [_checked(line, file) for line in lines]


def read_run(directory: Path) -> dict | None:
    """Return the record of a run directory, or None if nothing has run there."""
    result = read_result(directory)
    if result is not None:
        return {"status": "done"} | result
    if not (directory / "status.json").exists():
        return None
    config, status = read_config(directory), read_status_file(directory)
    if config is None:
        return None
    return unfinished(config, status["status"], status.get("error"))


def unfinished(config: Mapping, status: str, error: str | None = None) -> dict:
    """Return the record of a run without a result."""
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
    return {"status": "done"} | checked(record, RESULT, file, "result of a run")


def quantity(record: Mapping, name: str) -> float | None:
    """Return a metric of a record, one of `DERIVED`, or a number such as `wall_s`."""
    metrics = record["metrics"]
    if name in DERIVED and name not in metrics:
        source, function = DERIVED[name]
        return function(metrics[source]) if source in metrics else None
    value = metrics.get(name, flatten(record).get(name))
    return value if isinstance(value, int | float) else None


def check_metrics(records: Iterable[Mapping], names: Iterable[str]) -> None:
    """Raise UserError for a metric that no finished run has."""
    done = [record for record in records if record["status"] == "done"]
    if not done:
        return
    for name in names:
        if all(quantity(record, name) is None for record in done):
            known = sorted({metric for record in done for metric in record["metrics"]})
            raise UserError(
                f"no run has the metric {name!r}{did_you_mean(name, known)}; there "
                f"are: {', '.join(known)}."
            )


# Heading -> the metric that it is computed from, and the function.
DERIVED: dict[str, tuple[str, Callable[[float], float]]] = {
    "test/nll": ("test/log_likelihood", lambda value: -value),
}
