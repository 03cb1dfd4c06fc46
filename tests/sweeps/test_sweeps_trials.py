"""A sweep runs what is left to do, and no trial harms another, wherever they run."""

import errno
import json
import os
from collections import Counter
from types import SimpleNamespace

import pytest

from nfml_jax import runs as results
from nfml_jax.distributed.interrupts import Interrupts
from nfml_jax.errors import UserError
from nfml_jax.runs.run_directory import RunDirectory
from nfml_jax.sweeps import jobs as one
from nfml_jax.sweeps import trials as trials_of_a_sweep
from nfml_jax.sweeps.executors import Options, make_executor
from nfml_jax.sweeps.overrides import make_trials, param
from nfml_jax.sweeps.trials import listing, plan, run_trials
from nfml_jax.training import loop

CONFIG = {
    "name": "base",
    "seed": 0,
    "platform": "cpu",
    "optimizer": {"rate": 0.1},
    "data": {"name": "moons"},
}
HOW = {0.1: "done", 0.2: "diverged", 0.3: "failed", 0.4: "interrupted"}


def pretend(make_experiment, config, workdir, *, terminal):
    """A run that ends as its rate says."""
    how = make_experiment(config)
    with RunDirectory(workdir, config) as directory:
        directory.begin()
        if how == "failed":
            raise ValueError("a reason\nand more")
        directory.status(how, error="a culprit")
        if how == "done":
            result = {"name": "x", "seed": config["seed"], "config": config}
            more = {"data": {"name": "moons"}, "metrics": {"m": 1.0}, "wall_s": 2.0}
            directory.write("result.json", result | more)
        terminal.note("said")


@pytest.fixture
def sweep(tmp_path, monkeypatch):
    """Runs a sweep over rates, and counts how its trials stand.

    What ran and what was said are its fields.
    """
    monkeypatch.setattr(loop, "train_and_evaluate", pretend)
    monkeypatch.setattr(one, "keep_compiled", lambda folder: None)

    def make_experiment(config):
        run.ran.append(config["optimizer"]["rate"])
        return run.how[config["optimizer"]["rate"]]

    def run(*rates, **options):
        trials = make_trials(CONFIG, param("optimizer.rate", *rates))
        jobs = plan(make_experiment, trials, tmp_path, **options)
        run.listed = listing(trials, jobs, tmp_path)
        records = run_trials(
            jobs,
            trials,
            tmp_path,
            executor=make_executor("here", Options()),
            terminal=SimpleNamespace(
                note=run.said.append,
                interactive=False,
                live=lambda render: Interrupts(),
            ),
        )
        return Counter(record["status"] for record in records)

    run.ran, run.said, run.how = [], [], dict(HOW)
    return run


def test_one_bad_trial_stops_no_other_and_what_ended_is_not_run_again(sweep, tmp_path):
    assert sweep(0.2, 0.3, 0.1) == {"diverged": 1, "failed": 1, "done": 1}
    records = results.find_results([tmp_path])
    assert [r["status"] for r in records] == ["diverged", "failed", "done"]
    assert [r.get("error") for r in records] == ["a culprit", "a reason", None]
    assert any("a culprit" in line for line in sweep.said)
    logs = sorted(tmp_path.glob("*/terminal.txt"))
    assert len(logs) == 3 and "Traceback" in "".join(log.read_text() for log in logs)
    assert sweep.ran == [0.2, 0.3, 0.1]
    # After a wish to stop nothing follows.
    counts = {"diverged": 1, "failed": 1, "done": 1, "interrupted": 1, "pending": 1}
    sweep.how[0.5] = "done"
    assert sweep(0.2, 0.3, 0.1, 0.4, 0.5) == counts
    assert sweep.ran[3:] == [0.4]
    lines = (tmp_path / results.RESULTS_FILE).read_text().splitlines()
    statuses = [json.loads(line)["status"] for line in lines]
    assert statuses == ["diverged", "failed", "done", "interrupted", "pending"]
    # What is half done goes on.
    sweep.how[0.4] = "done"
    assert sweep(0.4, 0.5) == {"done": 2}


def test_failed_trials_are_retried_on_request(sweep, tmp_path):
    sweep(0.2, 0.3, 0.1)
    checkpoint = next(tmp_path.glob("0.2-*")) / "checkpoints" / "7"
    checkpoint.mkdir(parents=True)
    sweep(0.2, 0.3, 0.1, retry=["failed"])
    assert sweep.ran[3:] == [0.3] and checkpoint.exists()
    sweep.how |= {0.2: "done", 0.3: "done"}
    # What diverged begins anew: from its checkpoint it would diverge again.
    assert sweep(0.2, 0.3, 0.1, retry=["diverged", "failed"]) == {"done": 3}
    assert sweep.ran[4:] == [0.2, 0.3] and not checkpoint.exists()
    with pytest.raises(UserError, match="'done'"):
        sweep(0.1, retry=["done"])


def test_trials_to_be_retried_are_pending_until_then(sweep):
    sweep(0.3)
    sweep.how[0.5] = "interrupted"
    counts = {"interrupted": 1, "pending": 1}
    assert sweep(0.5, 0.3, retry=["failed"]) == counts
    sweep.how |= {0.5: "done", 0.3: "done"}
    assert sweep(0.5, 0.3) == {"done": 2}


def test_a_folder_that_cannot_be_written_gets_a_sentence(sweep, tmp_path):
    (tmp_path / make_trials(CONFIG, param("optimizer.rate", 0.1))[0].id).touch()
    with pytest.raises(UserError, match="cannot write in"):
        sweep(0.1)


def test_a_trial_that_another_process_runs_is_left_alone(sweep, tmp_path):
    (trial,) = make_trials(CONFIG, param("optimizer.rate", 0.1))
    with RunDirectory(tmp_path / trial.id, trial.config) as directory:
        directory.begin()
        assert sweep(0.1) == {"running": 1}
    assert sweep(0.1) == {"done": 1}


def test_a_trial_that_died_is_interrupted_and_resumes(sweep, tmp_path):
    (trial,) = make_trials(CONFIG, param("optimizer.rate", 0.1))
    with RunDirectory(tmp_path / trial.id, trial.config) as directory:
        directory.begin()
    job = one.Job(None, (trial,), (tmp_path / trial.id,))
    assert job.statuses() == ["running"]  # as one that was killed leaves it
    one.begin(job)
    assert job.statuses() == ["interrupted"]
    assert sweep(0.1) == {"done": 1} and "interrupted" in sweep.listed


def test_a_disk_that_is_full_gets_a_sentence(sweep, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(trials_of_a_sweep, "replace_text", full)
    with pytest.raises(UserError, match=r"^the disk that holds [^\n]* is full"):
        sweep(0.1)


def test_the_list_says_what_is_left_and_in_which_program(sweep):
    sweep(0.1, 0.3)
    sweep(0.1, 0.4, 0.3, retry=["failed"])
    head, *rows, total = sweep.listed.splitlines()
    assert head.split() == ["trial", "optimizer.rate", "status", "program"]
    words = [row.split()[1:] for row in rows]
    assert words == [["0.1", "done"], ["0.4", "pending", "1"], ["0.3", "failed", "2"]]
    assert total == "3 trials, 2 programs"
