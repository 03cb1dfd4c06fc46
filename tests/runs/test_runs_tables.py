"""The table of a sweep: what differs, intervals, the best, the lost; every format."""

import csv
import io
import json

import numpy as np
import pytest
from scipy import stats

from nfml_jax import runs as results
from nfml_jax.cli.results import main
from nfml_jax.errors import UserError
from nfml_jax.runs.curves import curves, learning
from nfml_jax.runs.formats import FORMATS
from nfml_jax.runs.replicates import half_width
from nfml_jax.runs.tables import better


def record(accuracy, *, seed=0, name="a", data="mnist", status="done", **head):
    metrics = {"test/accuracy": accuracy, "test/nll": 1 - accuracy, "count": 3.0}
    return {
        "name": name,
        "seed": seed,
        "config": {"experiment": "margin", "seed": seed, "head": head},
        "data": {"name": data, "train": 57000, "test": 10000},
        "metrics": metrics if status == "done" else {},
        "status": status,
    }


SWEEP = [
    *(record(a, seed=i, margin=0.3) for i, a in enumerate((0.5, 0.6, 0.7))),
    *(record(a, seed=i, margin=0.5) for i, a in enumerate((0.8, 0.9))),
    record(0, seed=2, margin=0.5, status="diverged"),
    record(0, margin=0.7, status="pending"),
]


@pytest.fixture
def folder(tmp_path):
    lines = [json.dumps(line) + "\n" for line in SWEEP]
    (tmp_path / results.RESULTS_FILE).write_text("".join(lines))
    return tmp_path


def test_a_row_for_each_group_with_the_best_and_the_lost(folder, capsys):
    assert main([str(folder), "--metrics=test/accuracy,test/nll", "--digits=2"]) == 0
    head, _, *rows = capsys.readouterr().out.splitlines()
    columns = "run | data (training / test) | head.margin | seeds | test/accuracy"
    assert head == f"| {columns} | test/nll |"
    data = "| a | mnist (57,000 / 10,000)"
    assert rows == [
        f"{data} | 0.3 | 3 | 0.60 ± 0.25 | 0.40 ± 0.25 |",
        f"{data} | 0.5 | 3 | **0.85 ± 0.64 (1 diverged)** | "
        "**0.15 ± 0.64 (1 diverged)** |",
        f"{data} | 0.7 | 1 | pending | pending |",
    ]


def test_the_interval_is_student_s():
    values = np.random.default_rng(0).normal(size=5)
    low, high = stats.t.interval(0.95, 4, values.mean(), stats.sem(values))
    assert np.isclose(2 * half_width(values), high - low)
    assert np.isclose(half_width(values, "se"), stats.sem(values))
    assert half_width([1.0]) is None


def test_a_single_row_and_an_undirected_metric_have_no_best():
    made = results.table([*SWEEP, record(0.1, name="b")], ["test/accuracy", "count"])
    best = [[cell.best for cell in cells] for _, cells in made.rows]
    assert best == [[False, False], [True, False], [False, False], [False, False]]
    assert better("test/kl") is better("validation/nll") is min
    assert better("verification/tar@far=1e-3") is better("retrieval/map@r") is max
    assert better("test/classifier_accuracy") is better("log_likelihood_se") is None


def test_every_format_has_every_row(folder, capsys):
    for name, lines in {"md": 5, "csv": 4, "tex": 9, "html": 8}.items():
        assert main([str(folder), f"--format={name}"]) == 0
        text = capsys.readouterr().out
        assert len(text.splitlines()) == lines and "0.5" in text and "pending" in text
    assert set(FORMATS) == {"md", "csv", "tex", "html"}


def test_csv_keeps_the_numbers(folder, capsys):
    assert main([str(folder), "--format=csv", "--metrics=test/accuracy"]) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert np.isclose(float(rows[0]["test/accuracy"]), 0.6)
    assert np.isclose(float(rows[0]["test/accuracy ±"]), half_width([0.5, 0.6, 0.7]))
    assert [row["test/accuracy n"] for row in rows] == ["3", "2", "0"]
    assert [row["test/accuracy lost"] for row in rows] == ["", "1 diverged", "pending"]


def test_latex_and_html_escape(capsys, tmp_path):
    made = results.table([record(0.5, name="a_b<&>")], ["test/accuracy"])
    assert r"a\_b<\&>" in FORMATS["tex"](made) and r"50.00\%" in FORMATS["tex"](made)
    assert "a_b&lt;&amp;&gt;" in FORMATS["html"](made)


def test_a_metric_against_each_number_that_was_swept(folder):
    figures = curves(SWEEP, ["test/accuracy", "test/nll", "absent"])
    assert list(figures) == ["head.margin"] and len(figures["head.margin"].axes) == 2
    line = figures["head.margin"].axes[0].lines[0]
    assert np.allclose(line.get_xydata(), [[0.3, 0.6], [0.5, 0.85]])
    other = [record(0.5, scale=s, easy=e) for s in ("30", "64") for e in (True, False)]
    (axes,) = curves(other, ["test/accuracy"])["head.scale"].axes
    assert axes.get_legend_handles_labels()[1] == ["easy True", "easy False"]
    assert curves([record(0.5)], ["test/accuracy"]) == {}


@pytest.fixture
def logs(tmp_path):
    """Return two runs of 10 and 40 steps, which are validated twice."""
    runs = [tmp_path / name for name in ("a", "b")]
    for run, last in zip(runs, (10, 40), strict=True):
        run.mkdir()
        config = {"name": run.name, "seed": 0, "experiment": "images"}
        (run / "config.json").write_text(json.dumps(config))
        (run / "result.json").write_text(json.dumps(record(0.5, name=run.name)))
        lines = [{"step": s, "test/nll": s / 10} for s in (last // 2, last)]
        (run / "metrics.jsonl").write_text("".join(json.dumps(x) + "\n" for x in lines))
    return runs


def test_runs_of_any_steps_learn_on_one_axis(logs, tmp_path, capsys):
    (axes,) = learning(logs, "test/nll").axes
    lines = [line.get_xydata() for line in axes.lines if line.get_linestyle() == "-"]
    assert np.allclose(np.stack(lines), [[[0.5, 0.5], [1, 1]], [[0.5, 2], [1, 4]]])
    assert axes.get_legend_handles_labels()[1] == ["a", "b"]
    output = tmp_path / "curves.png"
    words = [*map(str, logs), f"--learning={output}"]
    assert main([*words, "--metrics=test/nll"]) == 0
    assert output.read_bytes().startswith(b"\x89PNG")
    assert main([*words, "--metrics=test/accuracy"]) == 2
    assert "has not logged 'test/accuracy'" in capsys.readouterr().err
    with pytest.raises(UserError, match="is no run directory"):
        learning([tmp_path], "test/nll")


def test_plots_and_the_table_go_where_told(folder, tmp_path):
    output, plots = tmp_path / "table.md", tmp_path / "plots"
    assert main([str(folder), f"--output={output}", f"--plots={plots}"]) == 0
    assert "0.3" in output.read_text()
    assert [file.name for file in plots.iterdir()] == ["head.margin.png"]


@pytest.mark.parametrize("option", ["--format=docx", "--spread=iqr", "--output=/"])
def test_a_wrong_option_gets_a_sentence(folder, capsys, option):
    assert main([str(folder), option]) == 2
    assert capsys.readouterr().err.startswith("error: ")
