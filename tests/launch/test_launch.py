"""The command itself: what it prints, what it leaves, and its exit codes."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import jax
import numpy as np
import pytest

from nfml_jax.training.checkpoints import Checkpoints

ROOT = Path(__file__).parents[2]
SMOKE = "--config=configs/arcface_mnist.py:smoke"


def launch(*arguments, **options):
    return subprocess.run(
        [sys.executable, "launch.py", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=240,
        **options,
    )


@pytest.fixture(scope="module")
def data(manual_dir, tmp_path_factory):
    prepared = tmp_path_factory.mktemp("prepared")
    return (
        f"--config.data.manual_dir={manual_dir}",
        f"--config.data.data_dir={prepared}",
    )


def test_a_smoke_run(data, tmp_path):
    run = launch(SMOKE, *data, "--config.head.margin=0.3", f"--workdir={tmp_path}")
    assert run.returncode == 0, run.stderr
    said = " ".join(run.stdout.split())
    for words in ("arcface_mnist_smoke", "cos(θ + 0.3)", "step 6/6", "accuracy", "128"):
        assert words in said, run.stdout
    assert "\x1b" not in run.stdout and "Traceback" not in run.stderr
    result = json.loads((tmp_path / "result.json").read_text())
    assert result["config"]["head"]["margin"] == 0.3
    again = launch(SMOKE, *data, "--config.head.margin=0.3", f"--workdir={tmp_path}")
    assert again.returncode == 0 and "finished" in again.stdout
    other = launch(SMOKE, *data, f"--workdir={tmp_path}")
    assert other.returncode == 2 and "head.margin is 0.3 there" in other.stderr


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_run_saves_and_resumes(data, tmp_path, how):
    arguments = (
        SMOKE,
        *data,
        f"--workdir={tmp_path}",
        "--config.train.total=5000 steps",
    )
    process = subprocess.Popen(
        [sys.executable, "launch.py", *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    deadline = time.time() + 120
    status = tmp_path / "status.json"
    while time.time() < deadline:
        if status.exists() and json.loads(status.read_text())["step"] > 0:
            break
        time.sleep(0.1)
    process.send_signal(how)
    said, _ = process.communicate(timeout=120)
    assert process.returncode == 0, said
    assert "Traceback" not in said
    said = "".join(said.split())  # the terminal wraps long paths
    assert "saved" in said and f"--workdir={tmp_path}resumes" in said
    stopped = json.loads(status.read_text())
    assert stopped["status"] == "interrupted" and 0 < stopped["step"] < 5000


@pytest.mark.slow
def test_killed_at_random_moments_then_resumed_is_uninterrupted(data, tmp_path):
    settings = (SMOKE, *data, "--config.train.total=600 steps")
    moments = random.Random(0)
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    for _ in range(4):
        process = subprocess.Popen(
            [sys.executable, "launch.py", *settings, f"--workdir={killed}"],
            cwd=ROOT,
            stdout=subprocess.DEVNULL,
        )
        time.sleep(moments.uniform(8, 25))
        process.kill()
        process.wait()
    for path in (killed, whole):
        run = launch(*settings, f"--workdir={path}")
        assert run.returncode == 0, run.stderr
    with (
        Checkpoints(killed / "checkpoints") as a,
        Checkpoints(whole / "checkpoints") as b,
    ):
        jax.tree.map(
            np.testing.assert_array_equal, a.restore_model()[0], b.restore_model()[0]
        )


def test_divergence_has_an_exit_code(data, tmp_path):
    run = launch(
        SMOKE,
        *data,
        f"--workdir={tmp_path}",
        "--config.optimizer.learning_rate=1e30",
        "--config.optimizer.name=sgd",
        "--config.train.total=30 steps",
    )
    assert run.returncode == 3, run.stdout + run.stderr
    assert "diverged at step" in run.stdout
    assert json.loads((tmp_path / "status.json").read_text())["status"] == "diverged"


@pytest.mark.parametrize(
    "arguments, sentence",
    [
        ([], "no config is given"),
        (
            ["--config=configs/arcface_mist.py"],
            "did you mean 'configs/arcface_mnist.py'",
        ),
        (["--config=configs/arcface_mnist.py:smok"], "'smok'"),
        ([SMOKE, "--config.head.margn=1"], "did you mean 'head.margin'"),
        ([SMOKE, "--config.train.batch_size=many"], "is not a whole number"),
        ([SMOKE, "--wrkdir=x"], "workdir"),
        ([SMOKE, "words"], "'words' is not a flag"),
        ([SMOKE, "--config.head.easy=maybe"], "easy"),
    ],
)
def test_mistakes_get_a_sentence_and_exit_code_2(arguments, sentence, tmp_path):
    environment = os.environ | {"PYTHONPATH": ""}
    run = launch(*arguments, env=environment)
    assert run.returncode == 2
    assert sentence in run.stderr and run.stderr.startswith("error: ")
    assert len(run.stderr.strip().splitlines()) == 1 and "Traceback" not in run.stderr


def test_a_missing_gpu_gets_a_sentence(data, tmp_path):
    environment = os.environ | {"JAX_PLATFORMS": "cpu"}
    platform = "--config.platform=gpu"
    run = launch(SMOKE, *data, f"--workdir={tmp_path}", platform, env=environment)
    assert run.returncode == 2
    assert run.stderr.startswith("error: platform = 'gpu' is not on this machine")
