"""Tables from result files, the README's promises, and the gallery's manners."""

import json
import re
from pathlib import Path

import pytest

from nfml_jax import gallery, results
from nfml_jax.heads import MARGINS

ROOT = Path(__file__).parents[2]


def result(name, accuracy):
    return {
        "name": name,
        "seed": 0,
        "data": {"name": "mnist", "train": 57000, "test": 10000},
        "metrics": {"test/accuracy": accuracy},
    }


def test_a_row_for_each_result(tmp_path, capsys):
    for name, accuracy in (("a", 0.5), ("b", 0.9876)):
        (tmp_path / name).mkdir()
        text = json.dumps(result(name, accuracy))
        (tmp_path / name / "result.json").write_text(text)
        (tmp_path / name / "status.json").write_text("{}")
    arguments = [str(tmp_path), "--metrics", "test/accuracy,test/absent"]
    assert results.main(arguments) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("| run | data") and len(lines) == 4
    assert lines[2] == "| a | mnist (57,000 / 10,000) | 0 | 50.00% | – |"
    assert lines[3] == "| b | mnist (57,000 / 10,000) | 0 | 98.76% | – |"


@pytest.mark.parametrize(
    "files",
    [
        {},
        {"config.json": json.dumps(result("a", 0.5))},
        {"result.json": "{"},
        {"result.json": "[1]"},
        {"result.json": '{"metrics": {}}'},
    ],
)
def test_no_result_gets_a_sentence(tmp_path, capsys, files):
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    assert results.main([str(tmp_path)]) == 2
    assert capsys.readouterr().err.startswith("error: ")


def test_no_run_gets_a_sentence(tmp_path, capsys):
    assert gallery.main([str(tmp_path)]) == 2
    assert capsys.readouterr().err.startswith("error: ")


def test_the_readme_table_is_made_from_the_results():
    readme = (ROOT / "README.md").read_text()
    table = results.markdown(
        results.find_results([ROOT / "results"]), results.DEFAULT_METRICS
    )
    assert table in readme


def test_the_readme_lists_every_head_with_its_formula():
    readme = (ROOT / "README.md").read_text()
    for name, margin in MARGINS.items():
        assert f"| `{name}` | {margin().formula()} |" in readme


def test_the_readme_names_files_that_exist():
    readme = (ROOT / "README.md").read_text()
    names = re.findall(r"(?:configs|results|nfml_jax|experiments)/[\w/]+\.\w+", readme)
    assert len(names) > 8
    for name in names:
        assert (ROOT / name).exists(), name


def test_the_readme_script_learns(capsys):
    (script,) = re.findall(
        r"```python\n(import flax.*?)```", (ROOT / "README.md").read_text(), re.DOTALL
    )
    exec(script, {"__name__": "readme"})
    assert float(re.search(r"accuracy ([\d.]+)", capsys.readouterr().out)[1]) > 0.9


@pytest.mark.parametrize("run", sorted((ROOT / "results").glob("*/result.json")))
def test_kept_results_are_whole_and_of_real_data(run):
    kept = json.loads(run.read_text())
    assert {"config", "metrics", "data", "seed", "versions", "device", "steps"} <= set(
        kept
    )
    assert kept["data"]["digest"].startswith("sha256:")
    assert "custom" not in kept["data"]["name"]
    assert not re.search(r"(?<![\w.])[/~]+\w", run.read_text()), "a path of a machine"
