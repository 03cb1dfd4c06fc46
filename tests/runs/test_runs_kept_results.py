"""Tables from result files, the numbers of the README, and the gallery of runs."""

import glob
import json
import re
import shlex
from pathlib import Path
from types import SimpleNamespace

import pytest

from nfml_jax import runs as results
from nfml_jax.cli import draw as gallery
from nfml_jax.cli import results as tables
from nfml_jax.synthetic.plane import DENSITIES

ROOT = Path(__file__).parents[2]


def result(name, accuracy, seed=0, data="mnist", **config):
    return {
        "name": name,
        "seed": seed,
        "config": {"experiment": "margin", "seed": seed, "head": config},
        "data": {"name": data, "train": 57000, "test": 10000},
        "metrics": {"test/accuracy": accuracy, "test/log_likelihood": -accuracy},
        "wall_s": 12.0,
    }


def keep(folder, *found):
    for i, content in enumerate(found):
        (folder / f"{i}").mkdir(parents=True)
        (folder / f"{i}" / "result.json").write_text(json.dumps(content))
        (folder / f"{i}" / "status.json").write_text("{}")


def printed(capsys, *arguments):
    assert tables.main([*map(str, arguments), "--spread=se"]) == 0
    return capsys.readouterr().out.splitlines()


def test_a_row_for_each_run_and_a_mean_over_its_seeds(tmp_path, capsys):
    last = result("b", 0.9876)
    last["metrics"]["own"] = 7
    keep(tmp_path, result("a", 0.5), result("a", 0.52, seed=1), last)
    lines = printed(capsys, tmp_path, "--metrics=test/accuracy,test/nll,wall_s,own")
    head = "| run | data (training / test) | seeds | test/accuracy | test/nll | wall_s"
    assert lines[0] == f"{head} | own |" and len(lines) == 4
    data = "mnist (57,000 / 10,000)"
    assert lines[2] == (
        f"| a | {data} | 2 | 51.00% ± 1.00% | **0.5100 ± 0.0100** | 12 ± 0 | – |"
    )
    # The best of what shares data stands out: it has the highest accuracy here, and
    # the first has the lowest negative log-likelihood.
    assert lines[3] == f"| b | {data} | 1 | **98.76%** | 0.9876 | 12 | 7 |"


def test_an_interval_has_the_decimals_of_its_mean(tmp_path, capsys):
    for name, half in (("a", 2e-4), ("b", 0.0)):
        runs = [result(name, 0.5, seed=seed) for seed in (0, 1)]
        for run, nll in zip(runs, (0.98 - half, 0.98 + half), strict=True):
            run["metrics"]["test/nll"] = nll
        keep(tmp_path / name, *runs)
    rows = printed(capsys, tmp_path, "--metrics=test/nll")[2:4]
    assert "0.9800 ± 0.0002" in rows[0] and "0.9800 ± 0.0000" in rows[1]


def test_folds_are_averaged_over_and_their_seeds_are_no_more_folds(tmp_path, capsys):
    found = [
        result("a", value, seed=seed) | {"wall_s": float(fold)}
        for fold, values in enumerate([(0.5, 0.6), (0.7, 0.8), (0.9, 1.0)], 1)
        for seed, value in enumerate(values)
    ]
    for record in found:
        fold = int(record["wall_s"])
        record["config"]["data"] = {"fold": fold}
        record["data"] = {"name": "faces", "train": 5000 + fold, "test": 600}
    keep(tmp_path, *found)
    (row,) = printed(capsys, tmp_path, "--metrics=test/accuracy")[2:]
    # The folds' means are 55, 75 and 95 %: their deviation 20 %, over √3.
    assert row == ("| a | faces (5,001–5,003 / 600) | 2 of 3 folds | 75.00% ± 11.55% |")


def test_three_data_sets_make_a_grid_that_shows_what_is_missing(tmp_path, capsys):
    sets = ("x", "y", "z")
    found = [result("a", 0.5, data=d) for d in sets]
    found += [result("b", 0.25, seed=s, data="x") for s in (0, 1)]
    found += [result("b", 0.75, data="z")]
    lost = {"data": {"name": "y"}, "metrics": {}, "status": "diverged"}
    lost = result("b", 0) | lost
    again = lost | {"data": {"name": "z"}, "seed": 1}
    lines = [json.dumps(record) + "\n" for record in (*found, lost, again)]
    (tmp_path / results.RESULTS_FILE).write_text("".join(lines))
    lines = printed(
        capsys, tmp_path, "--metrics=test/nll", "--digits=2", "--table=grid"
    )
    assert lines[0] == "| test/nll | seeds | x | y | z |"
    assert lines[2] == "| a | 1 | 0.50 | **0.50** | **0.50** |"
    assert lines[3] == ("| b | 1–2 | **0.25 ± 0.00** | diverged | 0.75 (1 diverged) |")


def test_a_run_without_a_result_says_how_it_stands(tmp_path, capsys):
    keep(tmp_path / "done", result("a", 0.5))
    for name, status in (("b", "failed"), ("c", "running")):
        (tmp_path / name).mkdir()
        config = {"name": name, "seed": 0, "experiment": "margin"}
        (tmp_path / name / "config.json").write_text(json.dumps(config))
        (tmp_path / name / "status.json").write_text(json.dumps({"status": status}))
    rows = printed(capsys, tmp_path, "--metrics=test/accuracy")[2:]
    assert [row.rsplit(" | ", 1)[1] for row in rows] == [
        "failed |",
        "running |",
        "50.00% |",
    ]


@pytest.mark.parametrize(
    "files",
    [
        {},
        {"result.json": "{"},
        {"result.json": "[1]"},
        {"result.json": '{"metrics": {}}'},
        {"results.jsonl": "{"},
        {"results.jsonl": "[1]\n"},
    ],
)
def test_a_missing_result_gets_a_sentence(tmp_path, capsys, files):
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    assert tables.main([str(tmp_path)]) == 2
    assert capsys.readouterr().err.startswith("error: ")


@pytest.mark.parametrize(
    "flag, words",
    [
        ("--digits=-3", "--digits=-3; expected an integer in [0, 17]"),
        ("--digits=100", "--digits=100; expected"),
        ("--metrics=nope", "no run has the metric 'nope'"),
        ("--metrics=test/acuracy", "did you mean 'test/accuracy'"),
        ("--table=gird", "did you mean 'grid'"),
        ("--metrics=test/accuracy,", "no run has the metric ''"),
    ],
)
def test_invalid_requests_of_a_table_get_a_sentence(tmp_path, capsys, flag, words):
    keep(tmp_path, result("a", 0.5))
    assert tables.main([str(tmp_path), flag]) == 2
    assert words in capsys.readouterr().err


def test_a_gallery_is_a_png(tmp_path, capsys):
    for name in ("x.xyz", "x.pdf", "x", "png"):
        assert gallery.main([str(tmp_path), f"--output={tmp_path / name}"]) == 2
        assert "a name that ends in .png" in capsys.readouterr().err


def test_a_missing_run_gets_a_sentence(tmp_path, capsys):
    assert gallery.main([str(tmp_path)]) == 2
    assert capsys.readouterr().err.startswith("error: ")


def test_a_gallery_of_flows_is_of_flows_alone(tmp_path, capsys, monkeypatch):
    flow = SimpleNamespace(log_prob=DENSITIES["banana"].log_prob)
    monkeypatch.setattr(gallery, "load", lambda run: flow)
    kinds = {"a": "density", "b": "density", "c": "margin"}
    runs = [tmp_path / name for name in kinds]
    for run, kind in zip(runs, kinds.values(), strict=True):
        run.mkdir()
        config = {"name": run.name, "seed": 0, "experiment": kind}
        config["data"] = {"name": "banana"}
        (run / "config.json").write_text(json.dumps(config))
    output = tmp_path / "gallery.png"
    assert gallery.main([*map(str, runs[:2]), "--output", str(output)]) == 0
    assert output.stat().st_size > 1000
    assert gallery.main(list(map(str, runs))) == 2
    assert "different kinds (density, margin)" in capsys.readouterr().err


PAGES = [ROOT / "README.md", *sorted((ROOT / "results").rglob("README.md"))]
COMMANDS = [
    (page, command)
    for page in PAGES
    for command in re.findall(
        r"`python -m nfml_jax results\s+(results[^`]+)`", page.read_text()
    )
]


@pytest.mark.parametrize("page, command", COMMANDS)
def test_tables_are_made_by_the_commands_before_them(
    page, command, capsys, monkeypatch
):
    monkeypatch.chdir(ROOT)
    arguments = []
    for word in shlex.split(command):  # a shell gives files for stars
        arguments += sorted(glob.glob(word)) if "*" in word else [word]
    assert tables.main(arguments) == 0
    for table in capsys.readouterr().out.strip().split("\n\n"):
        assert table in page.read_text()


def test_the_pages_link_to_each_other():
    for page in PAGES:
        for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
            file, _, heading = link.partition("#")
            there = page.parent / file if file else page
            assert "://" in link or there.exists(), link
            if heading:
                titles = re.findall(r"^#+ (.+)$", there.read_text(), re.MULTILINE)
                assert heading in [t.lower().replace(" ", "-") for t in titles], link


def test_pages_name_files_that_exist():
    pages = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
    text = "\n".join(page.read_text(encoding="utf-8") for page in pages)
    kinds = r"(?:configs|results|nfml_jax|experiments)/[\w/-]+\.\w+"
    # An address within the site begins with its folder of images.
    names = set(re.findall(rf"(?<![\w/]){kinds}", text))
    assert len(names) > 20
    for name in names:
        stands = "NAME" in name or name.startswith("results/index.md")
        assert stands or (ROOT / name).exists(), name


def kept():
    """The files of results in the repository, and the records of each."""
    folder = ROOT / "results"
    files = [*folder.rglob("result.json"), *folder.rglob(results.RESULTS_FILE)]
    return {str(f.relative_to(ROOT)): results.find_results([f]) for f in sorted(files)}


@pytest.mark.parametrize("file, records", kept().items())
def test_kept_results_are_complete_and_of_real_data(file, records):
    for record in records:
        if record["status"] != "done":
            continue
        assert {"config", "versions", "device", "steps"} <= set(record)
        assert record["data"].get("digest", "sha256:").startswith("sha256:")
        assert "custom" not in record["data"]["name"]
        assert not re.search(r"(?<![\w.)])[/~]+\w", json.dumps(record)), "a path"
