"""Make tables and curves of run directories: `nfml results RUNS...`.

Runs that differ only in the seed are one row: the mean ± half its 95 % confidence
interval, or its standard error with `--spread=se`. Other fields that differ have
columns. `--table=grid` makes a table for each metric, with a column for each data set.
The best of a sweep is bold, and ≈ marks the rows that cannot be separated from the best
on its data. Runs that diverged, failed or have not run are counted as such. `--plots
FOLDER` draws the metrics against every number that was varied, `--learning FILE` the
first metric as the runs' logs have it. `--beside=bz2,gaussian` adds rows of baselines
that the runs have measured on the same test.
"""

import sys
from pathlib import Path

from nfml_jax.cli.command import command, make_parser, writing
from nfml_jax.ops.checks import check_integer
from nfml_jax.ops.names import look_up
from nfml_jax.runs.baselines import baseline_records
from nfml_jax.runs.formats import FORMATS
from nfml_jax.runs.records import check_metrics, find_results
from nfml_jax.runs.replicates import SPREADS
from nfml_jax.runs.tables import Table, grid, metrics_of, table

MOST_DIGITS = 17  # significant digits of a float


def rows(records, metrics, digits, spread) -> list[Table]:
    """Return one table, with a column for each metric."""
    return [table(records, metrics, digits, spread)]


def grids(records, metrics, digits, spread) -> list[Table]:
    """Return a table for each metric, with a column for each data set."""
    return [grid(records, metric, digits, spread) for metric in metrics]


TABLES = {"rows": rows, "grid": grids}


@command
def main(arguments=None) -> None:
    """Run the command `nfml results`."""
    parser = make_parser("results", __doc__)
    runs = "run directories, or folders that hold some"
    parser.add_argument("runs", nargs="+", type=Path, help=runs)
    parser.add_argument("--metrics", help="names of metrics, separated by commas")
    parser.add_argument("--beside", help="names of baselines, separated by commas")
    parser.add_argument("--digits", type=int, help="decimals of every number")
    parser.add_argument("--table", default="rows", help=" or ".join(TABLES))
    spread = f"the number after ±: {' or '.join(SPREADS)}"
    parser.add_argument("--spread", default="ci", help=spread)
    parser.add_argument("--format", default="md", help=", ".join(FORMATS))
    parser.add_argument("--output", type=Path, help="a file for the table")
    parser.add_argument("--plots", type=Path, help="a folder for figures")
    parser.add_argument("--learning", type=Path, help="a file for the learning curves")
    options = parser.parse_args(arguments)
    make = look_up(TABLES, options.table, "table")
    form = look_up(FORMATS, options.format, "format")
    look_up(SPREADS, options.spread, "spread")
    check_integer(None, 0, MOST_DIGITS, optional=True, **{"--digits": options.digits})
    records = find_results(options.runs)
    metrics = options.metrics.split(",") if options.metrics else metrics_of(records)
    check_metrics(records, metrics)
    if options.beside:
        records += baseline_records(records, options.beside.split(","))
    made = make(records, metrics, options.digits, options.spread)
    text = "\n\n".join(map(form, made))
    if options.output is None:
        print(text)
    else:
        with writing(options.output):
            options.output.write_text(text + "\n", encoding="utf-8")
    if options.plots is not None:
        _draw(records, metrics, options)
    if options.learning is not None:
        _draw_learning(metrics[0], options)


def _draw(records, metrics, options) -> None:
    from nfml_jax.plots import save, to_rgb
    from nfml_jax.runs.curves import curves

    figures = curves(records, metrics, options.spread)
    with writing(options.plots):
        options.plots.mkdir(parents=True, exist_ok=True)
        for field, figure in figures.items():
            save(to_rgb(figure), options.plots / f"{field}.png")
    if not figures:
        print("These runs vary no number, so nothing is drawn.", file=sys.stderr)


def _draw_learning(metric, options) -> None:
    from nfml_jax.plots import save, to_rgb
    from nfml_jax.runs.curves import learning

    rgb = to_rgb(learning(options.runs, metric))
    with writing(options.learning):
        save(rgb, options.learning)
