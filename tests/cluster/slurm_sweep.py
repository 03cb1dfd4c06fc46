"""Sweeps on SLURM whose jobs run out of time, make room, die and are cancelled.

Run by slurm.sh beside it, on a partition `all` whose jobs make room for `urgent` ones.
"""

import io
import os
import signal
import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import pytest

from nfml_jax.runs.run_directory import LOG
from nfml_jax.runs.run_files import read_json
from nfml_jax.sweeps.executors import Options, make_executor
from nfml_jax.sweeps.jobs import read_status
from nfml_jax.sweeps.overrides import make_trials, param
from nfml_jax.sweeps.trials import plan, run_trials
from nfml_jax.terminal.terminal import Terminal

sys.path.append(str(Path(__file__).parents[1] / "training"))
from tests.training import patience


@pytest.fixture
def sweep(tmp_path):
    """A patient sweep over four seeds on SLURM, and where its trials are."""
    notes, folder = tmp_path / "notes", tmp_path / "sweep"
    trials = make_trials(patience.config(notes), param("seed", 0, 1, 2, patience.WRONG))
    terminal = Terminal(stream=io.StringIO(), interactive=False)

    def run(beside):
        jobs = plan(patience.make, trials, folder, vmap="off")
        slurm = make_executor("slurm", Options(slurm={"timeout_min": 10}))
        with ThreadPoolExecutor(1) as pool, patience.within(240):
            task = pool.submit(beside)
            done = run_trials(jobs, trials, folder, executor=slurm, terminal=terminal)
            task.result(timeout=10)
        return Counter(record["status"] for record in done)

    paths = [folder / trial.id for trial in trials]
    return SimpleNamespace(run=run, notes=notes, paths=paths)


def send(sweep, number):
    """A signal to the process that first began seed 0."""
    os.kill(int(patience.begun(sweep.notes, 0)[0][0]), number)


def shell(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def test_jobs_that_are_out_of_time_or_make_room_go_on_from_their_checkpoints(sweep):
    first, second, *_ = sweep.paths

    def disturb():
        for path in (first, second):
            patience.await_checkpoint(path)
        send(sweep, signal.SIGUSR2)  # as SLURM does before a time-out
        patience.until(lambda: read_status(first) == "interrupted")
        shell("sbatch", "--partition=urgent", "--exclusive", "--output=/dev/null",
              "--wrap=true")  # fmt: skip
        patience.until(lambda: read_status(second) == "interrupted")
        patience.hurry(sweep.notes)

    assert sweep.run(disturb) == {"done": 3, "failed": 1}
    said = [read_json(path / "status.json") for path in sweep.paths]
    assert [s["status"] for s in said] == ["done"] * 3 + ["failed"]
    assert said[3]["error"] == "seed 3 is wrong"
    assert all(len(patience.begun(sweep.notes, seed)) > 1 for seed in (0, 1))
    assert all(patience.RESUMED in (p / LOG).read_text() for p in (first, second))


def test_a_job_that_dies_is_missed_without_accounting_and_goes_on(sweep):
    def kill():
        patience.await_checkpoint(sweep.paths[0])
        send(sweep, signal.SIGKILL)
        patience.hurry(sweep.notes)

    assert sweep.run(kill) == {"done": 2, "interrupted": 1, "failed": 1}
    said = read_json(sweep.paths[0] / "status.json")
    assert "ended without a result" in said["error"]
    assert sweep.run(lambda: None) == {"done": 3, "failed": 1}
    assert patience.RESUMED in (sweep.paths[0] / LOG).read_text()


def test_a_stop_request_saves_and_cancels_queued_jobs(sweep):
    def stop():
        for path in sweep.paths[:2]:
            patience.await_checkpoint(path)
        os.kill(os.getpid(), signal.SIGTERM)

    counts = sweep.run(stop)
    assert counts["interrupted"] == 2 and "running" not in counts
    said = [read_json(path / "status.json") for path in sweep.paths[:2]]
    assert all(s["step"] > 0 for s in said)
    patience.until(lambda: not shell("squeue", "--noheader"))
