"""A run: complete, resumable to the bit, and plain about how it ended."""

import functools
import json
import os
import signal
from types import SimpleNamespace
from typing import ClassVar

import jax
import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from nfml_jax.errors import UserError
from nfml_jax.runs.run_directory import RunDirectory
from nfml_jax.runs.writers import read_metrics
from nfml_jax.training import pace
from nfml_jax.training.checkpoints import Checkpoints
from nfml_jax.training.loop import train_and_evaluate
from nfml_jax.training.same_data import check_same_data
from tests.scripts import run_script
from tests.slow import slow_but
from tests.training.regression import Regression, config

pytestmark = pytest.mark.usefixtures("undrawn")


def run(path, make=Regression, /, **changes):
    return train_and_evaluate(make, config(**changes), path)


def signalled(validation, how=signal.SIGTERM):
    return functools.partial(Regression, signal_at=validation, how=how)


def parameters(path):
    with Checkpoints(path / "checkpoints") as checkpoints:
        return checkpoints.restore_model()


def saved_steps(path):
    return {int(p.name) for p in (path / "checkpoints").glob("[0-9]*")}


def metrics_without_time(path):
    lines = read_metrics(path / "metrics.jsonl")
    return [{k: v for k, v in line.items() if k != "time"} for line in lines]


def status(path):
    return json.loads((path / "status.json").read_text())


def assert_same_run(path, other):
    """Bit for bit the same parameters, and the same log."""
    (variables, meta), (expected, expected_meta) = parameters(path), parameters(other)
    assert meta["step"] == expected_meta["step"]
    jax.tree.map(np.testing.assert_array_equal, variables, expected)
    assert metrics_without_time(path) == metrics_without_time(other)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    path = tmp_path_factory.mktemp("finished") / "run"
    return path, run(path)


def test_a_run_writes_all_documented_files(finished):
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
    assert status(path)["status"] == "done" and status(path)["step"] == 30
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


def test_a_finished_run_is_left_alone(finished, capsys):
    path, outcome = finished
    before = (path / "metrics.jsonl").read_bytes()
    assert run(path).result == outcome.result
    assert (path / "metrics.jsonl").read_bytes() == before
    assert "is finished" in capsys.readouterr().out


@pytest.mark.parametrize("seconds", slow_but([0.0, float("inf")], [0.0]))
def test_how_steps_are_dispatched_changes_nothing(
    finished, tmp_path, monkeypatch, seconds
):
    # Each step alone, or up to five as soon as the first is done.
    monkeypatch.setattr(pace, "SECONDS", seconds)
    run(tmp_path, train__steps_per_dispatch=5)
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


def test_interrupted_then_resumed_is_uninterrupted(tmp_path, capsys):
    whole, cut = tmp_path / "whole", tmp_path / "cut in two"
    averaged = {"train__average_decay": 0.9}
    for how, step, name in ((signal.SIGTERM, 12, "SIGTERM"), (2, 24, "Ctrl-C")):
        outcome = run(cut, signalled(2, how), **averaged)
        assert (outcome.status, outcome.step) == ("interrupted", step)
        said = "".join(capsys.readouterr().out.split())  # the terminal wraps
        assert f"Stoppedby{name}atstep{step}of30,saved" in said
        assert f"--workdir='{cut}'resumes".replace(" ", "") in said
        assert status(cut)["status"] == "interrupted" and status(cut)["step"] == step
        assert not (cut / "result.json").exists()
    assert run(cut, **averaged).status == "done"
    run(whole, **averaged)
    assert_same_run(cut, whole)


def test_killed_then_resumed_is_uninterrupted(tmp_path):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    long = {"train__total": "20 epochs"}
    run_script(
        "training/killed.py", str(killed), json.dumps(config(**long)), "2", timeout=200
    )
    assert 0 < status(killed)["step"] < 120
    for path in (killed, whole):
        assert run(path, **long).status == "done"
    assert_same_run(killed, whole)


def test_a_run_killed_at_its_end_is_logged_once(finished, tmp_path, monkeypatch):
    class Killed(Exception):
        pass

    def write(self, name, content):
        if name == "result.json":
            raise Killed
        return original(self, name, content)

    original = RunDirectory.write
    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(RunDirectory, "write", write)
        run(tmp_path)
    assert status(tmp_path)["status"] == "failed"
    assert run(tmp_path).status == "done"
    assert_same_run(tmp_path, finished[0])


def test_a_run_is_not_resumed_on_other_data(tmp_path):
    class OnData(Regression):
        """Says of its data what a data set of images says."""

        about: ClassVar = {"digest": "sha256:1", "fingerprint": "sha256:2"}

        def data(self):
            return {"name": "points", "source": "files", **self.about}

        def model(self):
            return {"class_names": ["a", "b"]}

    class OnOthers(OnData):
        about: ClassVar = {"digest": "sha256:1", "fingerprint": "sha256:3"}

    stopped = run(tmp_path, functools.partial(OnData, signal_at=2))
    assert stopped.status == "interrupted"
    before = sorted(tmp_path.rglob("checkpoints/*"))
    with pytest.raises(UserError, match=r"other data \(points from files\)"):
        run(tmp_path, OnOthers)
    assert sorted(tmp_path.rglob("checkpoints/*")) == before


def test_earlier_checkpoints_are_compared_by_their_fields(tmp_path):
    def experiment(names=None, **data):
        model = {} if names is None else {"class_names": names}
        return SimpleNamespace(data=lambda: data, model=lambda: model)

    images = experiment(("ant", "cat"), name="n", digest="1", fingerprint="2")
    for meta in (
        {},
        {"data": {}},
        {"data": {"name": "n"}},
        {"data": {"digest": "1"}},
        {"data": {"digest": "1", "fingerprint": "2"}},
        {"model": {"class_names": ["ant", "cat"]}},
        {"model": {}},
    ):
        check_same_data(images, meta, tmp_path)
    for meta in (
        {"data": {"digest": "2"}},
        {"data": {"digest": "1", "fingerprint": "1", "name": "n"}},
        {"model": {"class_names": ["cat", "dog"]}},
    ):
        with pytest.raises(UserError, match="was trained on other data"):
            check_same_data(images, meta, tmp_path)
    check_same_data(experiment(), {"data": {"digest": "2"}}, tmp_path)


def test_a_nan_stops_the_run_and_names_itself(tmp_path, capsys):
    class Advised(Regression):
        remedy = "Set size to 1."

    outcome = run(tmp_path, functools.partial(Advised, nan_from=15))
    assert (outcome.status, outcome.step) == ("diverged", 15)
    said = " ".join(capsys.readouterr().out.split())
    assert "diverged at step 15: loss is nan, grad_norm/head is nan" in said
    assert "last good checkpoint is that of step 12" in said
    assert "names the operation. Set size to 1." in said
    found = status(tmp_path)
    assert found["status"] == "diverged" and found["culprits"][0] == "loss"
    assert (found["step"], found["diverged_at"]) == (12, 15)
    assert not (tmp_path / "result.json").exists()
    assert parameters(tmp_path)[1]["step"] == 12


def test_parameters_that_are_not_finite_are_never_saved(tmp_path, capsys):
    # The first step's loss and gradient are finite, its update is not.
    outcome = run(
        tmp_path,
        optimizer__name="sgd",
        optimizer__learning_rate=3e38,
        optimizer__warmup=None,
        train__evaluate_every="1 step",
    )
    assert (outcome.status, outcome.step) == ("diverged", 0)
    said = " ".join(capsys.readouterr().out.split())
    assert "diverged at step 0: params/head/w is" in said
    assert "there is no checkpoint before it" in said
    assert saved_steps(tmp_path) == set()


def test_the_best_checkpoint_is_kept_and_reported(tmp_path):
    outcome = run(
        tmp_path,
        train__report="best",
        train__total="7 epochs",
        optimizer__learning_rate=1.5,
        optimizer__schedule="constant",
    )
    fits = {
        line["step"]: line["validation/fit"]
        for line in read_metrics(tmp_path / "metrics.jsonl")
        if "validation/fit" in line
    }
    best = max(fits, key=fits.get)
    assert best < 36, "the last steps must not be the best for this test to mean much"
    assert outcome.result["reported"] == {"checkpoint": "best", "step": best}
    assert outcome.result["metrics"]["test/error"] == pytest.approx(-fits[best])
    assert saved_steps(tmp_path) == {best, 36, 42}


def test_without_a_best_checkpoints_are_written_when_they_are_due(tmp_path):
    class Undecided(Regression):
        best = None

    run(tmp_path, Undecided, train__checkpoint_every=None)
    assert saved_steps(tmp_path) == {30}


def test_two_runs_on_one_directory(tmp_path):
    with (
        RunDirectory(tmp_path, config()),
        pytest.raises(UserError, match="another run is using"),
    ):
        run(tmp_path)


def test_a_directory_of_another_config(finished):
    with pytest.raises(UserError, match=r"seed is 0 there and 7 here"):
        run(finished[0], seed=7)


def test_a_refused_run_leaves_nothing_and_can_be_corrected(tmp_path):
    mistake = {"optimizer__name": "adm", "train__total": "4 steps"}
    new, made = tmp_path / "runs" / "new", tmp_path / "made"
    made.mkdir()
    for path in (new, made):
        with pytest.raises(UserError):
            run(path, **mistake)
    assert sorted(tmp_path.iterdir()) == [made]
    assert not (made / "config.json").exists()
    assert run(made, train__total="4 steps").status == "done"


def test_a_directory_that_never_trained_is_free_for_another_config(tmp_path):
    class Broken(Regression):
        def warnings(self):
            raise RuntimeError("broken")

    with pytest.raises(RuntimeError):
        run(tmp_path, Broken)
    assert status(tmp_path)["status"] == "failed"
    assert run(tmp_path, seed=3, train__total="4 steps").status == "done"
    assert json.loads((tmp_path / "config.json").read_text())["seed"] == 3


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
        ({"seed": -1}, "seed=-1; expected an integer"),
        ({"seed": 2**32}, "seed=4294967296; expected an integer"),
        ({"optimizer__weight_decay": float("nan")}, "optimizer.weight_decay=nan"),
        ({"platform": "gpux"}, "platform = 'gpux' is not on this machine"),
        ({"num_devices": 99}, "num_devices = 99, but there are"),
        ({"train__batch_size": 51}, "must lie between 1 and the 50"),
        ({"train__batch_size": 0}, "batch_size=0; expected an integer"),
        ({"train__total": "5 lightyears"}, "'5 lightyears' is not a duration"),
        ({"train__total": "1e99 steps"}, "is more than the 2,147,483,647 steps"),
        ({"train__total": None}, "train.total=None; expected a text"),
        ({"optimizer__name": "adm"}, "did you mean 'adam'"),
        ({"optimizer__warmup": "99 steps"}, "shorten the warm-up"),
        (
            {"optimizer__learning_rate": -1.0},
            "rate=-1.0; expected a number above 0",
        ),
        ({"train__steps_per_dispatch": 0}, "steps_per_dispatch=0"),
        ({"train__report": "first"}, "train.report='first'"),
        ({"train__average_decay": 1.0}, "average_decay=1.0"),
    ],
)
def test_mistakes_get_a_sentence_and_leave_nothing(tmp_path, changes, sentence):
    with pytest.raises(UserError, match=sentence):
        run(tmp_path / "run", **changes)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("platform", ["auto", "gpu"])
def test_a_device_that_the_environment_hides(tmp_path, monkeypatch, platform):
    # As JAX answers where JAX_PLATFORMS names what the machine lacks.
    def devices(platform=None):
        raise AssertionError

    monkeypatch.setenv("JAX_PLATFORMS", "cuda")
    monkeypatch.setattr(jax, "devices", devices)
    with pytest.raises(UserError, match="JAX_PLATFORMS = 'cuda'; unset it"):
        run(tmp_path, platform=platform)


def test_a_batch_without_a_size_trains_as_one_of_the_size_that_fits(tmp_path):
    short = {"train__total": "4 steps"}
    fitted = run(tmp_path / "fitted", train__batch_size=None, **short)
    given = run(tmp_path / "given", train__batch_size=32, **short)
    assert fitted.result["metrics"] == given.result["metrics"]


def test_a_loss_of_the_whole_batch_is_not_accumulated(tmp_path):
    class Compared(Regression):
        whole_batch = True

    changes = {"train__accumulate": 2, "train__total": "4 steps"}
    with pytest.raises(UserError, match="accumulate = 2 would train another"):
        run(tmp_path / "refused", Compared, **changes)
    assert not (tmp_path / "refused").exists()
    assert run(tmp_path / "taken", **changes).status == "done"
