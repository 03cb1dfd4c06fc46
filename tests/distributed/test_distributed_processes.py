"""Several processes are one run: the same numbers, stopped and killed, too."""

import json
import re
import socket
import time

import jax
import numpy as np
import pytest

from nfml_jax.distributed import processes
from nfml_jax.errors import UserError
from nfml_jax.runs.writers import read_metrics
from nfml_jax.training.checkpoints import Checkpoints
from tests.scripts import run_script
from tests.training.regression import config

SCRIPT = "distributed/several_processes.py"
SETTINGS = {"train__average_decay": 0.9, "train__report": "best"}


def parameters(path):
    with Checkpoints(path / "checkpoints") as checkpoints:
        return checkpoints.restore_model()


def losses(path):
    lines = read_metrics(path / "metrics.jsonl")
    return {n["step"]: n["train/loss"] for n in lines if "train/loss" in n}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("processes")
    settings = json.dumps(config(**SETTINGS))
    said = run_script(
        "distributed/several_processes.py", str(folder), settings, timeout=300
    )
    (folder / "said.json").write_text(said.strip().splitlines()[-1])
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("run", ["two", "cut"])
def test_two_processes_are_one_with_two_devices(folder, run):
    (ours, our_meta), (theirs, their_meta) = (
        parameters(folder / name) for name in (run, "one")
    )
    assert our_meta["step"] == their_meta["step"] == 30
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6), ours, theirs)
    found, expected = losses(folder / run), losses(folder / "one")
    assert found == pytest.approx(expected, abs=1e-6) and len(found) == 8
    results = [
        json.loads((folder / name / "result.json").read_text()) for name in (run, "one")
    ]
    error = [result["metrics"]["test/error"] for result in results]
    assert error[0] == pytest.approx(error[1], abs=1e-6)
    assert "of 2 processes" in results[0]["device"]


@pytest.mark.slow
def test_how_processes_end(folder):
    said = json.loads((folder / "said.json").read_text())
    for name in ("one", "two", "resumed"):
        assert set(said[name]["codes"]) == {0} and said[name]["status"] == "done"
    # SIGTERM to one stops both at the same step, after it is saved.
    told = said["told"]
    assert told["codes"] == [0, 0] and told["status"] == "interrupted"
    assert 12 <= told["step"] < 30
    # Of one that is killed the other says so, the first or not, in one sentence.
    killed, orphaned = said["killed"], said["orphaned"]
    assert killed["codes"] == [2, -9] and killed["status"] == "failed"
    assert orphaned["codes"] == [-9, 2] and orphaned["status"] == "running"
    for (words,) in (killed["words"][0], orphaned["words"][1]):
        assert words.startswith("error: another process of this run is gone")


@pytest.mark.parametrize(
    "given, sentence",
    [
        (("host:1", 2, None), "--process_id must be given, too"),
        ((None, 2, None), "--coordinator and --process_id must be given"),
        (("host", 2, 1), "--coordinator=host is not HOST:PORT"),
        (("host:99999", 2, 1), "is not HOST:PORT"),
        (("host:1", 2, 2), "--process_id=2 must lie between 0 and"),
    ],
)
def test_mistakes_in_the_flags_of_a_process(given, sentence):
    with pytest.raises(UserError, match=re.escape(sentence)):
        processes.join(*given, timeout=1)


def test_processes_of_different_configs_get_a_sentence(monkeypatch):
    said = []  # what each process would tell the others

    def largest(*values):
        said.append(values)
        return np.max(said, axis=0).tolist()

    monkeypatch.setattr(processes, "is_single_process", lambda: False)
    monkeypatch.setattr(processes, "max_over_processes", largest)
    processes.check_same(config())
    processes.check_same(config())
    with pytest.raises(UserError, match="different configs; start all of them"):
        processes.check_same(config(seed=1))


def test_a_dead_coordinator_is_given_up_in_time():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
        began = time.monotonic()
        with pytest.raises(UserError, match=f"no coordinator answers at {address}"):
            processes.join(address, 2, 1, timeout=1)
        assert time.monotonic() - began < 5
