"""No room to write: the run ends with one sentence, its checkpoints stay intact."""

import asyncio
import contextlib
import errno
import gc
import json
import os
import resource
import subprocess
import tempfile
from pathlib import Path

import jax
import numpy as np
import pytest

from nfml_jax.errors import UserError
from nfml_jax.runs.writers import RunWriter
from nfml_jax.training import failures
from nfml_jax.training.checkpoints import Checkpoints
from nfml_jax.training.failures import explained
from nfml_jax.training.loop import train_and_evaluate
from nfml_jax.training.orbax_options import RaisedAlone
from tests.training.regression import Regression, config


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
        with pytest.raises(UserError, match="free some space there, and the same"):
            train_and_evaluate(Regression, config(), tmp_path)
    assert json.loads((tmp_path / "status.json").read_text())["status"] == "failed"
    assert parameters(tmp_path)[1]["step"] == 12
    assert train_and_evaluate(Regression, config(), tmp_path).status == "done"


@pytest.mark.parametrize("size", [1000, 8000])
def test_a_limit_on_the_size_of_files_gets_one_sentence(tmp_path, size, capfd):
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        with pytest.raises(UserError, match=r"File too large.*ulimit -f"):
            train_and_evaluate(Regression, config(), tmp_path / "run")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert capfd.readouterr().err == ""


SAVE = """
async def write():
    raise OSError(28, "No space left on device")
"""


@pytest.mark.parametrize("file, printed", [("/lib/orbax/write.py", 0), ("/mine.py", 1)])
def test_arrays_that_fail_beside_the_first_print_nothing(file, printed, caplog):
    scope = {}
    exec(compile(SAVE, file, "exec"), scope)

    async def save():
        tasks = [asyncio.create_task(scope["write"]()) for _ in range(2)]
        await asyncio.wait(tasks)
        await tasks[0]

    with RaisedAlone(), pytest.raises(OSError):
        asyncio.run(save())
    gc.collect()
    assert len(caplog.records) == printed


def full(code, name=None):
    return OSError(code, os.strerror(code), name)


@pytest.mark.parametrize("wrapped", [False, True])
@pytest.mark.parametrize(
    "problem, says",
    [
        (full(errno.ENOSPC), "the disk that holds {run} is full"),
        (full(errno.ENOSPC, "{run}/metrics.jsonl"), "the disk that holds {run} is"),
        (full(errno.ENOSPC, "{other}/file"), "the disk that holds {other} is full"),
        (full(errno.EDQUOT, "{other}/file"), "or raise your quota"),
        (full(errno.EROFS, "{run}/x"), "cannot write in {run} .*make it writable"),
        (full(errno.EIO), "cannot write in {run} .*repair the disk"),
        (ValueError('"{other}/x": No space left on device'), "holds {other} is full"),
    ],
)
def test_the_sentence_names_the_disk_that_has_no_room(
    tmp_path, monkeypatch, problem, says, wrapped
):
    places = {"run": str(tmp_path / "run"), "other": str(tmp_path / "other")}
    for place in places.values():
        Path(place).mkdir()
    if getattr(problem, "filename", None):
        problem = full(problem.errno, problem.filename.format(**places))
    elif isinstance(problem, ValueError):
        problem = ValueError(str(problem).format(**places))
    monkeypatch.setattr(failures, "_free", lambda folder: "run" not in folder.name)
    if wrapped:
        outer = RuntimeError("the saving failed")
        outer.__cause__ = problem
        problem = outer
    with pytest.raises(UserError, match=says.format(**places)):
        raise explained(problem, Path(places["run"]))


def test_an_error_that_names_no_file_is_that_of_the_disk_with_less_room(
    tmp_path, monkeypatch
):
    here = tempfile.gettempdir()
    monkeypatch.setattr(failures, "_free", lambda folder: str(folder) != here)
    sentence = str(explained(full(errno.ENOSPC), tmp_path))
    assert f"the disk that holds {here} is full" in sentence


def test_other_errors_stay_what_they_are(tmp_path):
    for problem in (full(errno.ENOENT), ValueError("x"), UserError("No space left on")):
        assert explained(problem, tmp_path) is problem
