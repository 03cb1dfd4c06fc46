"""Trackers receive what a run logs; each real one where its package is installed.

By hand, in an environment with one of them: `pip install trackio` (or wandb, or
mlflow-skinny), then `pytest -n 0 tests/runs/test_runs_trackers.py`.
"""

import json
import os
import struct
import sys

import numpy as np
import pytest

from nfml_jax.errors import UserError
from nfml_jax.runs import read_metrics, trackers
from nfml_jax.runs.writers import RunWriter
from nfml_jax.training.loop import train_and_evaluate
from tests.training.regression import Regression, config

pytestmark = pytest.mark.usefixtures("undrawn")


class Recorder:
    """A tracker that keeps what it receives."""

    def __init__(self, package=None, run_dir=None, config=None):
        self.seen, self.closed = [], 0

    def scalars(self, step, values):
        self.seen.append((step, dict(values)))

    def image(self, step, name, rgb):
        self.seen.append((step, name, rgb.shape))

    def close(self):
        self.closed += 1


def test_a_tracker_receives_scalars_rates_and_figures(tmp_path):
    recorder = Recorder()
    with RunWriter(tmp_path, trackers=[recorder]) as writer:
        writer.scalars(1, {"loss": 2.0})
        writer.rates(1, {"speed": 3.0})
        writer.image(2, "figure", np.zeros((2, 3, 3), np.uint8))
    writer.close()
    assert recorder.seen == [
        (1, {"loss": 2.0}),
        (1, {"speed": 3.0}),
        (2, "figure", (2, 3, 3)),
    ]
    assert recorder.closed == 1
    (line,) = read_metrics(tmp_path / "metrics.jsonl")
    assert "speed" not in line


def test_a_missing_or_unknown_tracker_is_one_sentence(monkeypatch):
    monkeypatch.setitem(sys.modules, "wandb", None)  # as if it were not installed
    with pytest.raises(UserError, match=r"--track=wandb needs .* `pip install wandb`"):
        trackers.find_tracker("wandb")
    with pytest.raises(UserError, match="did you mean 'wandb'"):
        trackers.find_tracker("wandbb")


def read_trackio(folder):
    from trackio.sqlite_storage import SQLiteStorage

    (name,) = SQLiteStorage.get_runs("regression")
    return SQLiteStorage.get_logs("regression", name)


def read_wandb(folder):
    import wandb
    from wandb.proto import wandb_internal_pb2

    wandb.teardown()  # its own process writes the file, and ends here
    found = []
    (file,) = folder.rglob("*.wandb")
    for data in log_records(file.read_bytes()):
        record = wandb_internal_pb2.Record()
        record.ParseFromString(data)
        items = record.history.item
        line = {(i.key or i.nested_key[0]): json.loads(i.value_json) for i in items}
        if line:
            found.append(line | {"step": record.history.step.num})
    return found


def log_records(data, block=32768, header=7):
    """The records of a file in the log format of LevelDB, whose first 7 bytes are its
    own: blocks of parts, each with a checksum, a length and a kind."""
    position, whole = header, b""
    while position + header <= len(data):
        left = block - position % block
        if left < header:
            position += left
            continue
        size, kind = struct.unpack_from("<HB", data, position + 4)
        position += header
        whole += data[position : position + size]
        position += size
        if kind in (1, 4):  # a whole record, or its last part
            yield whole
            whole = b""


def read_mlflow(folder):
    from mlflow import MlflowClient

    client = MlflowClient()
    experiment = client.get_experiment_by_name("regression")
    (run,) = client.search_runs([experiment.experiment_id])
    return [
        {metric: entry.value, "step": entry.step}
        for metric in run.data.metrics
        for entry in client.get_metric_history(run.info.run_id, metric)
    ]


READERS = {"trackio": read_trackio, "wandb": read_wandb, "mlflow": read_mlflow}


@pytest.mark.parametrize("name", READERS)
def test_a_real_tracker_holds_the_numbers_of_the_log(name, tmp_path, monkeypatch):
    pytest.importorskip(name, reason=f"pip install {name}")
    folder = tmp_path / "records"
    for variable, value in {
        trackers.VARIABLE: name,
        "TRACKIO_DIR": str(folder),
        "WANDB_DIR": str(folder),
        "WANDB_MODE": "offline",
        "WANDB_SILENT": "true",
        "MLFLOW_TRACKING_URI": f"sqlite:///{folder}/mlflow.db",
    }.items():
        monkeypatch.setenv(variable, value)
    folder.mkdir()
    run = tmp_path / "run"
    with monkeypatch.context() as patch:
        patch.chdir(tmp_path)
        assert train_and_evaluate(Regression, config(), run).status == "done"
    logged = [
        (line["step"], metric, line[metric])
        for line in read_metrics(run / "metrics.jsonl")
        for metric in ("train/loss", "validation/fit", "test/error")
        if metric in line
    ]
    found = {
        (line["step"], metric): value
        for line in READERS[name](folder)
        for metric, value in line.items()
    }
    assert len(logged) > 5 and os.environ[trackers.VARIABLE] == name
    for step, metric, value in logged:
        assert found[step, metric] == pytest.approx(value)
