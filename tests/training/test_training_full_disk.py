"""A full disk: the run ends with a sentence, its checkpoints are whole, it goes on."""

import contextlib
import errno
import json
import os
import subprocess

import jax
import numpy as np
import pytest
from regression import Regression, config

from nfml_jax.errors import UserError
from nfml_jax.training.checkpoints import Checkpoints
from nfml_jax.training.loop import train_and_evaluate
from nfml_jax.training.writers import RunWriter


def parameters(path):
    with Checkpoints(path / "checkpoints") as checkpoints:
        return checkpoints.restore_model()


@contextlib.contextmanager
def small_disk(path, size):
    path.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(path)]
    try:
        mounted = subprocess.run(mount, capture_output=True).returncode == 0
    except OSError:
        mounted = False
    if not mounted:
        pytest.skip("no disk may be mounted here")
    try:
        yield path
    finally:
        subprocess.run(["umount", "-l", str(path)], check=True)


@pytest.mark.slow
def test_a_disk_that_fills_up(tmp_path):
    settings = config(train__total="30 epochs")
    with small_disk(tmp_path / "disk", "256k") as disk:
        run = disk / "run"
        with pytest.raises(UserError, match=r"the disk that holds .*run is full"):
            train_and_evaluate(Regression, settings, run)
        stopped = parameters(run)[1]["step"]
        assert 0 < stopped < 180
        subprocess.run(["mount", "-o", "remount,size=8m", str(disk)], check=True)
        train_and_evaluate(Regression, settings, run)
        ours = parameters(run)[0]
    train_and_evaluate(Regression, settings, tmp_path / "whole")
    theirs = parameters(tmp_path / "whole")[0]
    jax.tree.map(np.testing.assert_array_equal, ours, theirs)


def test_a_log_that_cannot_be_written(tmp_path, monkeypatch):
    written = RunWriter.scalars

    def scalars(self, step, values):
        if step >= 16:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        written(self, step, values)

    with monkeypatch.context() as patch:
        patch.setattr(RunWriter, "scalars", scalars)
        with pytest.raises(UserError, match="free some space, and the same command"):
            train_and_evaluate(Regression, config(), tmp_path)
    assert json.loads((tmp_path / "status.json").read_text())["status"] == "failed"
    assert parameters(tmp_path)[1]["step"] == 12
    assert train_and_evaluate(Regression, config(), tmp_path).status == "done"
