"""`python -m nfml_jax.results RUNS...`: a table made from result files alone."""

import argparse
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from nfml_jax.errors import UserError
from nfml_jax.training.run_directory import read_json
from nfml_jax.training.terminal import format_metric

DEFAULT_METRICS = (
    "test/accuracy",
    "test/knn_accuracy",
    "verification/eer",
    "verification/tar@far=1e-3",
    "angles/intra",
    "angles/inter",
)


def find_results(paths: Iterable[Path]) -> list[dict]:
    """The results in run directories, in folders of them, or in single files, by path.

    Raises UserError for a path that holds none, and for a file that is no result.
    """
    results = []
    for path in map(Path, paths):
        files = [path] if path.is_file() else sorted(path.rglob("result.json"))
        if not files:
            raise UserError(
                f"{path} holds no result; give run directories that finished, or the "
                "folder above them."
            )
        results += map(_read, files)
    return results


def _read(file: Path) -> dict:
    result = read_json(file)
    known = result.keys() if isinstance(result, dict) else ()
    missing = {"name", "seed", "data", "metrics"}.difference(known)
    if missing:
        raise UserError(
            f"{file} is no result of a run (it has no {', '.join(sorted(missing))}); "
            "restore it, or take it away."
        )
    return result


def markdown(results: Sequence[dict], metrics: Sequence[str]) -> str:
    """A row for each result: what ran on which data, and the metrics asked for."""
    rows = [["run", "data (training / test)", "seed", *metrics]]
    for result in results:
        data = result["data"]
        counts = f"{data['train']:,} / {data['test']:,}"
        values = [
            format_metric(name, result["metrics"][name])
            if name in result["metrics"]
            else "–"
            for name in metrics
        ]
        row = [result["name"], f"{data['name']} ({counts})", str(result["seed"])]
        rows.append(row + values)
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    lines.insert(1, "|---" * 3 + "|--:" * len(metrics) + "|")
    return "\n".join(lines)


def main(arguments=None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m nfml_jax.results", description=__doc__
    )
    parser.add_argument("runs", nargs="+", type=Path)
    parser.add_argument("--metrics", default=",".join(DEFAULT_METRICS))
    options = parser.parse_args(arguments)
    try:
        print(markdown(find_results(options.runs), options.metrics.split(",")))
    except UserError as mistake:
        print(f"error: {mistake}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
