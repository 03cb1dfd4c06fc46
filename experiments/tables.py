"""Print the README's tables: `python -m experiments.tables RUNS...`.

They are those of `python -m nfml_jax results`, with the metrics of each kind of
experiment: a row for each run, the mean over its seeds ± the standard error, and a
column for each metric. Runs over three data sets or more get a column for each data set
instead, with the first metric. Missing and diverged runs are marked.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

from nfml_jax import runs as results
from nfml_jax.cli.command import command, make_parser
from nfml_jax.ops.checks import check_integer
from nfml_jax.runs.formats import markdown
from nfml_jax.runs.records import check_metrics

# The metrics of each kind of experiment; the first is that of a grid of data sets.
METRICS = {
    "margin": (
        "test/accuracy",
        "test/knn_accuracy",
        "verification/eer",
        "verification/tar@far=1e-3",
        "angles/intra",
        "angles/inter",
    ),
    "pairs": (
        "test/accuracy",
        "test/knn_accuracy",
        "retrieval/recall@1",
        "retrieval/map@r",
        "verification/eer",
        "angles/intra",
    ),
    "variational": ("test/kl", "test/ess", "test/log_z_off", "annealed/log_z_off"),
    "density": ("test/nll", "test/kl", "test/classifier_accuracy", "wall_s"),
    "metric": (
        "euclidean/accuracy",
        "covariance/accuracy",
        "nca/accuracy",
        "lmnn/accuracy",
        "itml/accuracy",
        "test/accuracy",
    ),
}
SPREAD = "se"
GRID = 3  # least number of data sets for a grid


def tables(
    records: Sequence[dict],
    metrics: Sequence[str] | None = None,
    digits: int | None = None,
) -> list[str]:
    """Return one table for each kind of experiment and shape; see above.

    With `metrics` every kind has these, and shares a table.
    """
    kinds: dict[str, list[dict]] = {}
    for record in records:
        kind = "" if metrics else record.get("config", {}).get("experiment", "")
        kinds.setdefault(kind, []).append(record)
    made = []
    for kind, members in kinds.items():
        shown = metrics or METRICS.get(kind) or results.metrics_of(members)
        data: dict[str, set] = {}
        for record in members:
            data.setdefault(record["name"], set()).add(record["data"]["name"])
        rows = [r for r in members if len(data[r["name"]]) < GRID]
        cells = [r for r in members if len(data[r["name"]]) >= GRID]
        if rows:
            made.append(results.table(rows, shown, digits, SPREAD))
        if cells:
            made.append(results.grid(cells, shown[0], digits, SPREAD))
    return [markdown(table) for table in made]


@command
def main(arguments=None) -> None:
    """Run the command."""
    parser = make_parser("experiments.tables", __doc__, "python -m")
    parser.add_argument("runs", nargs="+", type=Path)
    parser.add_argument("--metrics", help="names, with commas between them")
    parser.add_argument("--digits", type=int, help="decimals of every number")
    options = parser.parse_args(arguments)
    metrics = options.metrics.split(",") if options.metrics else None
    check_integer(None, 0, 17, optional=True, **{"--digits": options.digits})
    records = results.find_results(options.runs)
    check_metrics(records, metrics or ())
    print("\n\n".join(tables(records, metrics, options.digits)))


if __name__ == "__main__":
    sys.exit(main())
