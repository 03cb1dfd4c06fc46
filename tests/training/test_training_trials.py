"""A sweep runs what is left to do, and no trial harms another, wherever they run."""

import json
import os
import signal
import threading
import time
from types import SimpleNamespace

import pytest
import regression

from nfml_jax import results
from nfml_jax.errors import UserError
from nfml_jax.training import jobs as one
from nfml_jax.training import loop
from nfml_jax.training.executors import Options, make_executor, needs
from nfml_jax.training.interrupts import Interrupts
from nfml_jax.training.run_directory import RunDirectory, read_json
from nfml_jax.training.sweeps import make_trials, param
from nfml_jax.training.trials import listing, plan, run_trials

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
    """Runs a sweep over rates; what ran and what was said are its fields."""
    monkeypatch.setattr(loop, "train_and_evaluate", pretend)
    monkeypatch.setattr(one, "keep_compiled", lambda folder: None)

    def make_experiment(config):
        run.ran.append(config["optimizer"]["rate"])
        return run.how[config["optimizer"]["rate"]]

    def run(*rates, **options):
        trials = make_trials(CONFIG, param("optimizer.rate", *rates))
        jobs = plan(make_experiment, trials, tmp_path, **options)
        run.listed = listing(trials, jobs, tmp_path)
        return run_trials(
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


def test_what_failed_is_retried_when_told(sweep, tmp_path):
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


def test_a_trial_that_another_process_runs_is_left_alone(sweep, tmp_path):
    (trial,) = make_trials(CONFIG, param("optimizer.rate", 0.1))
    with RunDirectory(tmp_path / trial.id, trial.config) as directory:
        directory.begin()
        assert sweep(0.1) == {"running": 1}
    assert sweep(0.1) == {"done": 1}


def test_the_list_says_what_is_left_and_in_which_program(sweep):
    sweep(0.1, 0.3)
    sweep(0.1, 0.4, 0.3, retry=["failed"])
    head, *rows, total = sweep.listed.splitlines()
    assert head.split() == ["trial", "optimizer.rate", "status", "program"]
    words = [row.split()[1:] for row in rows]
    assert words == [["0.1", "done"], ["0.4", "pending", "1"], ["0.3", "failed", "2"]]
    assert total == "3 trials, 2 programs"


CHILD = regression.config()


def wrong(config):
    """An experiment that ends its process, or is a mistake."""
    if config["seed"] == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    raise UserError(f"seed {config['seed']} is wrong")


def endless(config):
    time.sleep(600)


def children(make_experiment, seeds, folder):
    """The jobs of a sweep over seeds, ready for processes of their own."""
    jobs = plan(make_experiment, make_trials(CHILD, param("seed", *seeds)), folder)
    for job in jobs:
        one.begin(job)
    return jobs


def test_a_process_that_dies_takes_its_own_trial_only(tmp_path):
    jobs = children(wrong, (0, 1), tmp_path)
    processes = make_executor("local", Options(jobs=2))
    ended = list(processes.run(jobs, SimpleNamespace(wanted=None)))
    assert sorted(job.name for job in ended) == sorted(job.name for job in jobs)
    said = [read_json(job.paths[0] / "status.json") for job in jobs]
    assert [s["status"] for s in said] == ["failed"] * 2
    assert "SIGKILL" in said[0]["error"] and said[1]["error"] == "seed 1 is wrong"


def test_a_wish_to_stop_ends_what_runs_and_begins_nothing_more(tmp_path):
    jobs = children(endless, (0, 1), tmp_path)
    wish = SimpleNamespace(wanted=None)
    processes = make_executor("local", Options(jobs=1))
    threading.Timer(0.5, setattr, (wish, "wanted", "Ctrl-C")).start()
    assert list(processes.run(jobs, wish)) == jobs[:1]
    assert [job.statuses() for job in jobs] == [["interrupted"], ["pending"]]


def test_each_of_many_processes_has_a_device(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,5")
    monkeypatch.delenv("JAX_PLATFORMS", raising=False)
    assert devices(jobs=0) == ["3", "5"] and devices(jobs=4) == ["3", "5", "3", "5"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert devices(jobs=0) == [None]


def devices(**options):
    executor = make_executor("local", Options(**options))
    return [s.environment.get("CUDA_VISIBLE_DEVICES") for s in executor.slots]


@pytest.mark.parametrize(
    "make, sentence",
    [
        (lambda: make_executor("locl", Options()), "did you mean 'local'"),
        (lambda: Options(jobs=-1), "--jobs=-1"),
        (lambda: Options(cpus=0), "--cpus=0"),
        (
            lambda: needs("no_such_package", "ray"),
            "pip install -r requirements-cluster",
        ),
    ],
)
def test_mistakes_about_executors_get_a_sentence(make, sentence):
    with pytest.raises(UserError, match=r"^[^\n]*$") as mistake:
        make()
    assert sentence in str(mistake.value)
