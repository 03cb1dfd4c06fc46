"""A run directory with invalid files gets one sentence, whatever the files hold."""

import json

import pytest

from nfml_jax.cli import draw as gallery
from nfml_jax.cli import results as tables
from nfml_jax.errors import UserError
from nfml_jax.runs import run_files
from nfml_jax.runs.run_directory import RunDirectory, write_status
from nfml_jax.terminal.trial_progress import standing

CONFIG = {"name": "a", "seed": 0, "experiment": "density", "flow": {"recipe": "maf"}}
RESULT = {"name": "a", "seed": 0, "data": {"name": "d"}, "metrics": {"x": 1.0}}
RESULT |= {"steps": 3, "config": CONFIG}
GOOD = {"config": CONFIG, "status": {"status": "running", "step": 3}, "result": RESULT}
NO_JSON = (b"", b"{", b"\xff\xfe\x00", b"[" * 100_000, b'"\\ud800"', b"1" * 5000)
NO_OBJECTS = ("[]", "[1]", "null", "3", "NaN", '"text"', "true", "{}")
OF_ANOTHER_KIND = {
    "config": {
        "name": (3, None, []),
        "seed": ("0", -1, 1.5, True, None),
        "experiment": ([], 3),
        "data": ([], None, {"name": []}),
        "encoder": ("cnn", {}, {"name": {}}),
        "flow": ({"recipe": 3}, {}, 1),
        "train": ("x", []),
    },
    "status": {"status": ("gone", [], None, 3), "step": ("3", -1, 0.5, None)},
    "result": {
        "metrics": ([], None, {"x": "y"}, {"x": []}),
        "data": ("d", {}, {"name": 3}),
        "reported": ([], {"checkpoint": "last"}, {"checkpoint": "x", "step": 1}),
        "steps": ("many", None),
        "config": ([], {"data": 1}, None),
        "model": ([], {"loader": 3}, {"shift": "x"}, {"class_names": [1]}),
    },
}
READERS = {
    "config": run_files.read_config,
    "status": run_files.read_status_file,
    "result": run_files.read_result,
}


def run(folder, **contents):
    for name, content in (GOOD | contents).items():
        text = content if isinstance(content, bytes) else json.dumps(content).encode()
        (folder / f"{name}.json").write_bytes(text)
    return folder


def test_files_of_a_run_are_read_as_they_are(tmp_path):
    run(tmp_path)
    for name, read in READERS.items():
        assert read(tmp_path) == GOOD[name]
        (tmp_path / f"{name}.json").unlink()
    assert run_files.read_config(tmp_path) is run_files.read_result(tmp_path) is None
    assert run_files.read_status_file(tmp_path) == {"status": "pending", "step": 0}


@pytest.mark.parametrize("name", GOOD)
def test_a_wrong_file_is_refused_by_its_path(tmp_path, name):
    texts = [*NO_JSON, *(text.encode() for text in NO_OBJECTS)]
    changed = [
        {**GOOD[name], field: value}
        for field, values in OF_ANOTHER_KIND[name].items()
        for value in values
    ]
    for content in [*texts, *changed]:
        run(tmp_path, **{name: content})
        with pytest.raises(UserError, match=rf"{name}\.json (is|can't)"):
            READERS[name](tmp_path)
    (tmp_path / f"{name}.json").unlink()
    (tmp_path / f"{name}.json").mkdir()
    with pytest.raises(UserError, match=rf"{name}\.json is a folder"):
        READERS[name](tmp_path)


def test_resuming_tables_and_galleries_refuse_damaged_files(tmp_path, capsys):
    for name, content in (
        ("config", b"[]"),
        ("config", b"{}"),
        ("status", b"[1]"),
        ("result", b"[1]"),
        ("result", {"metrics": {}}),
    ):
        run(tmp_path, **{name: content})
        if name == "status":
            (tmp_path / "result.json").unlink()
        with pytest.raises(UserError, match=rf"{name}\.json is no"):
            RunDirectory(tmp_path, CONFIG)
        command = gallery if name == "config" else tables
        assert command.main([str(tmp_path)]) == 2
        (tmp_path / "result.json").unlink(missing_ok=True)
    assert "Traceback" not in capsys.readouterr().err


def test_a_file_where_a_run_should_be_is_no_run(tmp_path, capsys):
    (tmp_path / "run").write_text("text")
    with pytest.raises(UserError, match="cannot write in"):
        RunDirectory(tmp_path / "run", CONFIG)
    assert run_files.read_config(tmp_path / "run") is None
    assert gallery.main([str(tmp_path / "run")]) == 2


def test_the_progress_of_a_trial_is_checked(tmp_path):
    run(tmp_path)
    (tmp_path / "metrics.jsonl").write_text('{"train/loss": []}\n["train/loss"]\n')
    assert standing(tmp_path).status == "running"
    (tmp_path / "progress.json").write_text("[]")
    with pytest.raises(UserError, match=r"progress\.json is no progress"):
        standing(tmp_path)


def test_a_status_that_was_damaged_is_not_written_over(tmp_path):
    run(tmp_path, status=b"[1]")
    with pytest.raises(UserError, match=r"status\.json is no status"):
        write_status(tmp_path, "done")


def test_without_its_config_a_finished_run_is_compared_by_that_of_its_result(tmp_path):
    run(tmp_path)
    (tmp_path / "config.json").unlink()
    with RunDirectory(tmp_path, CONFIG) as directory:
        assert directory.result()["steps"] == 3
    with pytest.raises(UserError, match="seed is 0 there and 1 here"):
        RunDirectory(tmp_path, CONFIG | {"seed": 1})
