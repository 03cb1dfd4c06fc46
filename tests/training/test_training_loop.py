"""A run: complete, resumable to the bit, and plain about how it ended."""

import json
import os
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest
from regression import Regression, config
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from nfml_jax.errors import UserError
from nfml_jax.training.checkpoints import Checkpoints
from nfml_jax.training.loop import Schedule, train_and_evaluate
from nfml_jax.training.run_directory import RunDirectory
from nfml_jax.training.writers import read_metrics


def run(path, **changes):
    return train_and_evaluate(Regression, config(**changes), path)


def parameters(path):
    with Checkpoints(path / "checkpoints") as checkpoints:
        return checkpoints.restore_model()


def assert_same_run(path, other):
    """Bit for bit the same parameters, and the same log."""
    (variables, meta), (expected, expected_meta) = parameters(path), parameters(other)
    assert meta["step"] == expected_meta["step"]
    jax.tree.map(np.testing.assert_array_equal, variables, expected)
    lines, expected_lines = (
        [{k: v for k, v in line.items() if k != "time"} for line in read_metrics(p)]
        for p in (path / "metrics.jsonl", other / "metrics.jsonl")
    )
    assert lines == expected_lines


def in_a_process(path, changes) -> subprocess.CompletedProcess:
    code = (
        "import sys, json; from regression import *; "
        "from nfml_jax.training.loop import train_and_evaluate; "
        "out = train_and_evaluate("
        "Regression, config(**json.loads(sys.argv[2])), sys.argv[1]); "
        "print('ENDED', out.status, out.step)"
    )
    here = Path(__file__).parent
    return subprocess.run(
        [sys.executable, "-c", code, str(path), json.dumps(changes)],
        env=os.environ | {"PYTHONPATH": f"{here}:{here.parents[1]}"},
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    path = tmp_path_factory.mktemp("finished") / "run"
    return path, run(path)


def test_a_run_leaves_all_it_promises(finished):
    path, outcome = finished
    assert (outcome.status, outcome.step) == ("done", 30)
    result = json.loads((path / "result.json").read_text())
    assert result == outcome.result
    assert result["config"] == json.loads((path / "config.json").read_text())
    assert result["metrics"]["test/error"] < 3.0
    assert result["steps"] == 30 and result["seed"] == 0
    assert result["data"] == {"name": "made_up", "train": 50}
    assert {"jax", "flax", "python"} <= result["versions"].keys()
    assert result["wall_s"] > 0 and result["cpu_s"] > 0
    assert json.loads((path / "status.json").read_text())["status"] == "done"
    steps = {line["step"] for line in read_metrics(path / "metrics.jsonl")}
    assert set(range(4, 29, 4)) | {30} <= steps
    assert (path / "figures" / "learning_curves.png").stat().st_size > 1000
    events = EventAccumulator(str(path), size_guidance={"histograms": 0}).Reload()
    assert [e.step for e in events.Histograms("w")] == [6, 12, 18, 24, 30]


def test_training_reduces_the_error(finished):
    path, _ = finished
    lines = read_metrics(path / "metrics.jsonl")
    losses = [line["train/loss"] for line in lines if "train/loss" in line]
    assert losses[-1] < 0.5 * losses[0]


def test_a_finished_run_is_left_alone(finished):
    path, outcome = finished
    before = (path / "metrics.jsonl").read_bytes()
    assert run(path).result == outcome.result
    assert (path / "metrics.jsonl").read_bytes() == before


def test_the_same_seed_is_the_same_run(finished, tmp_path):
    run(tmp_path)
    assert_same_run(tmp_path, finished[0])


@pytest.mark.parametrize(
    "changes",
    [{"train__steps_per_dispatch": 5}, {"train__steps_per_dispatch": 1}],
)
def test_steps_per_dispatch_change_nothing(finished, tmp_path, changes):
    run(tmp_path, **changes)
    assert_same_run(tmp_path, finished[0])


def test_a_dispatch_may_cross_epochs(finished, tmp_path):
    rarely = "5 epochs"
    run(
        tmp_path,
        train__steps_per_dispatch=16,
        train__log_every=rarely,
        train__evaluate_every=rarely,
        train__checkpoint_every=rarely,
    )
    ours, theirs = parameters(tmp_path)[0], parameters(finished[0])[0]
    jax.tree.map(np.testing.assert_array_equal, ours, theirs)


def test_another_seed_is_another_run(finished, tmp_path):
    run(tmp_path, seed=1)
    ours, theirs = parameters(tmp_path)[0], parameters(finished[0])[0]
    assert not np.allclose(ours["params"]["head"]["w"], theirs["params"]["head"]["w"])


def test_interrupted_then_resumed_is_uninterrupted(tmp_path):
    # The signal comes during the second validation; the config must stay the same.
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    ended = in_a_process(cut, {"signal_at": 2, "train__average_decay": 0.9})
    assert ended.returncode == 0, ended.stderr
    assert "ENDED interrupted 12" in ended.stdout and "resumes" in ended.stdout
    assert json.loads((cut / "status.json").read_text())["status"] == "interrupted"
    assert not (cut / "result.json").exists()
    # In the resumed process the second validation is at step 24: again interrupted.
    again = in_a_process(cut, {"signal_at": 2, "train__average_decay": 0.9})
    assert "ENDED interrupted 24" in again.stdout, again.stdout + again.stderr
    last = in_a_process(cut, {"signal_at": 2, "train__average_decay": 0.9})
    assert "ENDED done 30" in last.stdout, last.stdout + last.stderr
    run(whole, signal_at=99, train__average_decay=0.9)
    assert_same_run(cut, whole)


def test_killed_then_resumed_is_uninterrupted(finished, tmp_path):
    # Each process dies in its third validation, its last checkpoint perhaps unwritten.
    deaths = 0
    while (last := in_a_process(tmp_path, {"kill_at": 3})).returncode == -9:
        deaths += 1
        assert deaths < 6
    assert deaths >= 2 and "ENDED done 30" in last.stdout, last.stdout + last.stderr
    assert_same_run(tmp_path, finished[0])


def test_a_damaged_checkpoint_is_passed_over(finished, tmp_path):
    in_a_process(tmp_path, {"signal_at": 3})
    newest = max((tmp_path / "checkpoints").glob("[0-9]*"), key=lambda p: int(p.name))
    assert newest.name == "18"
    for part in newest.rglob("d/*"):
        part.write_bytes(part.read_bytes()[:-20] + bytes(20))
    with pytest.warns(UserWarning, match="Checkpoint 18 is damaged"):
        outcome = run(tmp_path, signal_at=3)
    assert outcome.status == "interrupted"  # by its own third validation, at step 30
    assert (tmp_path / "damaged" / "18").is_dir()
    assert run(tmp_path, signal_at=3).status == "done"
    assert_same_run(tmp_path, finished[0])


def test_a_nan_stops_the_run_and_names_itself(tmp_path, capsys):
    outcome = run(tmp_path, nan_from=15)
    assert (outcome.status, outcome.step) == ("diverged", 15)
    said = " ".join(capsys.readouterr().out.split())
    assert "diverged at step 15: loss is nan, grad_norm/head is nan" in said
    assert "last good checkpoint is that of step 12" in said
    status = json.loads((tmp_path / "status.json").read_text())
    assert status["status"] == "diverged" and status["culprits"][0] == "loss"
    assert not (tmp_path / "result.json").exists()
    assert parameters(tmp_path)[1]["step"] == 12


def test_the_best_checkpoint_is_kept_and_reported(tmp_path):
    outcome = run(
        tmp_path,
        train__report="best",
        train__total="8 epochs",
        optimizer__learning_rate=0.9,
        optimizer__schedule="constant",
    )
    fits = {
        line["step"]: line["validation/fit"]
        for line in read_metrics(tmp_path / "metrics.jsonl")
        if "validation/fit" in line
    }
    best = max(fits, key=fits.get)
    assert best != 48, "the last step must not be the best for this test to mean much"
    assert outcome.result["reported"] == {"checkpoint": "best", "step": best}
    assert outcome.result["metrics"]["test/error"] == pytest.approx(-fits[best])
    kept = {int(p.name) for p in (tmp_path / "checkpoints").glob("[0-9]*")}
    assert kept == {best, 42, 48}


def test_two_runs_on_one_directory(tmp_path):
    with (
        RunDirectory(tmp_path, config()),
        pytest.raises(UserError, match="another run is using"),
    ):
        run(tmp_path)


def test_a_directory_of_another_config(finished):
    with pytest.raises(UserError, match=r"seed is 0 there and 7 here"):
        run(finished[0], seed=7)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_no_permission_to_write(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(UserError, match="cannot write"):
        run(tmp_path / "run")


def test_a_file_in_the_way(tmp_path):
    (tmp_path / "run").write_text("not a folder")
    with pytest.raises(UserError, match="cannot write"):
        run(tmp_path / "run")


@pytest.mark.parametrize(
    "changes, sentence",
    [
        ({"platform": "gpux"}, "platform = 'gpux' is not on this machine"),
        ({"num_devices": 99}, "num_devices = 99, but there are"),
        ({"train__batch_size": 51}, "must lie between 1 and the 50"),
        ({"train__batch_size": 0}, "cannot be divided"),
        ({"train__total": "5 lightyears"}, "'5 lightyears' is not a duration"),
        ({"train__total": "never"}, "trains nothing"),
        ({"optimizer__name": "adm"}, "did you mean 'adam'"),
        ({"optimizer__warmup": "99 steps"}, "shorten the warm-up"),
        ({"optimizer__learning_rate": -1.0}, "must be a positive number"),
        ({"train__steps_per_dispatch": 0}, "steps_per_dispatch = 0"),
        ({"train__report": "first"}, "train.report = 'first'"),
        ({"train__average_decay": 1.0}, "average_decay = 1.0"),
    ],
)
def test_mistakes_get_a_sentence(tmp_path, changes, sentence):
    with pytest.raises(UserError, match=sentence):
        run(tmp_path, **changes)


def test_the_schedule_cuts_at_every_event():
    schedule = Schedule(total=50, log=7, evaluate=20, checkpoint=0, per_dispatch=100)
    events, step = [], 0
    while step < 50:
        step = schedule.next_event(step)
        events.append(step)
    assert events == [7, 14, 20, 21, 28, 35, 40, 42, 49, 50]
