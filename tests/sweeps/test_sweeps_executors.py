"""Executors: a trial that crashes, stops or moves harms no other trial."""

import concurrent.futures
import contextlib
import io
import os
import re
import signal
import socket
import sys
import threading
import time
from collections import Counter
from types import SimpleNamespace

import pytest

from nfml_jax.distributed.interrupts import Interrupts
from nfml_jax.errors import UserError
from nfml_jax.runs.run_directory import LOG
from nfml_jax.runs.run_files import read_json
from nfml_jax.sweeps.executors import Options, make_executor, needs
from nfml_jax.sweeps.executors.ray_cluster import answers
from nfml_jax.sweeps.jobs import begin
from nfml_jax.sweeps.overrides import make_trials, param
from nfml_jax.sweeps.trials import plan, run_trials
from nfml_jax.terminal.terminal import Terminal
from tests.training import patience, regression

CHILD = regression.config()
HEAD = {"num_cpus": 1, "include_dashboard": False}
GO_ON = SimpleNamespace(requested=None)


def wrong(config):
    """An experiment that ends its process, or is a mistake."""
    if config["seed"] == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    raise UserError(f"seed {config['seed']} is wrong")


def endless(config):
    time.sleep(600)


def dying(config):
    """A regression; in its second validation it is killed."""
    return regression.Regression(config, signal_at=2, how=signal.SIGKILL)


def interrupted(config):
    """A regression; while it is made, someone presses Ctrl-C."""
    os.kill(os.getpid(), signal.SIGINT)
    return regression.Regression(config)


def children(make_experiment, seeds, folder, name="regression"):
    """The jobs of a sweep over seeds, ready for processes of their own."""
    trials = make_trials(CHILD | {"name": name}, param("seed", *seeds))
    jobs = plan(make_experiment, trials, folder, vmap="off")
    for job in jobs:
        begin(job)
    return jobs


def test_a_process_that_dies_stops_no_other_trial(tmp_path):
    jobs = children(wrong, (0, 1), tmp_path)
    processes = make_executor("local", Options(jobs=2))
    ended = list(processes.run(jobs, GO_ON))
    assert sorted(job.name for job in ended) == sorted(job.name for job in jobs)
    said = [read_json(job.paths[0] / "status.json") for job in jobs]
    assert [s["status"] for s in said] == ["failed"] * 2
    assert "SIGKILL" in said[0]["error"] and said[1]["error"] == "seed 1 is wrong"


def test_a_killed_process_leaves_its_trial_interrupted(tmp_path):
    (job,) = children(dying, (0,), tmp_path)
    list(make_executor("local", Options()).run([job], GO_ON))
    said = read_json(job.paths[0] / "status.json")
    assert said["status"] == "interrupted" and said["step"] == 6
    assert said["error"] == "its process ended with signal SIGKILL"


def test_a_stop_request_ends_running_trials_and_starts_no_more(tmp_path):
    jobs = children(endless, (0, 1), tmp_path)
    interrupts = SimpleNamespace(requested=None)
    processes = make_executor("local", Options(jobs=1))
    threading.Timer(0.5, setattr, (interrupts, "requested", "Ctrl-C")).start()
    assert list(processes.run(jobs, interrupts)) == jobs[:1]
    assert [job.statuses() for job in jobs] == [["interrupted"], ["pending"]]


def test_a_stop_request_reaches_a_starting_trial(tmp_path):
    jobs = children(interrupted, (0, 1), tmp_path)
    here = make_executor("here", Options())
    with Interrupts() as interrupts:
        assert list(here.run(jobs, interrupts)) == jobs[:1]
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
    ],
)
def test_mistakes_about_executors_get_a_sentence(make, sentence):
    with pytest.raises(UserError, match=r"^[^\n]*$") as mistake:
        make()
    assert sentence in str(mistake.value)


def test_an_executor_names_the_extra_that_it_needs(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)  # as if it were not installed
    with pytest.raises(UserError, match=re.escape("'nfml_jax[cluster]'")):
        needs("ray", "ray")


@pytest.fixture(scope="module")
def cluster():
    """The address of a Ray cluster of two machines, both of them this one."""
    pytest.importorskip("ray", reason="pip install 'nfml_jax[cluster]'")
    from ray.cluster_utils import Cluster

    with pytest.MonkeyPatch.context() as patch:
        # Ray's workers are nice, and starve beside anything else that computes.
        patch.setenv("RAY_worker_niceness", "0")
        cluster = Cluster(initialize_head=True, head_node_args=HEAD)
        cluster.add_node(num_cpus=1)
        yield cluster.address
        cluster.shutdown()


@contextlib.contextmanager
def beside(work):
    """Run `work` in a thread; raise its error at the end."""
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        task = pool.submit(work)
        yield
        task.result(timeout=10)


@pytest.fixture
def sweep(cluster, tmp_path):
    """A patient sweep over four seeds on Ray, and where its trials are."""
    notes, folder = tmp_path / "notes", tmp_path / "sweep"
    trials = make_trials(patience.config(notes), param("seed", 0, 1, 2, patience.WRONG))
    jobs = plan(patience.make, trials, folder, vmap="off")
    terminal = Terminal(stream=io.StringIO(), interactive=False)

    def run():
        ray = make_executor("ray", Options(ray_address=cluster))
        with patience.within(240):
            done = run_trials(jobs, trials, folder, executor=ray, terminal=terminal)
        return Counter(record["status"] for record in done)

    return SimpleNamespace(run=run, notes=notes, paths=[job.paths[0] for job in jobs])


def test_a_sweep_on_ray_survives_the_death_of_a_worker_and_a_mistake(sweep):
    def kill():
        patience.await_checkpoint(sweep.paths[0])
        os.kill(int(patience.begun(sweep.notes, 0)[0][0]), signal.SIGKILL)
        patience.hurry(sweep.notes)

    with beside(kill):
        assert sweep.run() == {"done": 3, "failed": 1}
    said = [read_json(path / "status.json") for path in sweep.paths]
    assert [s["status"] for s in said] == ["done"] * 3 + ["failed"]
    assert said[3]["error"] == "seed 3 is wrong"
    begun = [patience.begun(sweep.notes, seed) for seed in range(3)]
    assert [len(times) for times in begun] == [2, 1, 1]
    machines = {parent for times in begun for _, parent in times}
    assert len(machines) == 2  # each worker's parent is its machine's raylet
    resumed = [patience.RESUMED in (p / LOG).read_text() for p in sweep.paths]
    assert resumed == [True, False, False, False]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_to_a_sweep_on_ray_saves_what_runs(sweep, number):
    def stop():
        for path in sweep.paths[:2]:
            patience.await_checkpoint(path)
        os.kill(os.getpid(), number)

    with beside(stop):
        assert sweep.run() == {"interrupted": 2, "pending": 2}
    said = [read_json(path / "status.json") for path in sweep.paths]
    assert all(s["status"] == "interrupted" and s["step"] > 0 for s in said[:2])


def test_ray_releases_a_job_that_is_to_stop(cluster, tmp_path):
    jobs = children(endless, (0, 1), tmp_path)
    interrupts = SimpleNamespace(requested=None)
    ray = make_executor("ray", Options(ray_address=cluster, jobs=1))

    def stop():
        patience.until((jobs[0].paths[0] / LOG).exists)
        interrupts.requested = "Ctrl-C"

    with beside(stop), patience.within(90):
        assert list(ray.run(jobs, interrupts)) == jobs[:1]
    assert [job.statuses() for job in jobs] == [["interrupted"], ["pending"]]


def test_a_port_without_ray_is_reported_at_once():
    with socket.create_server(("127.0.0.1", 0)) as server:
        assert not answers(f"127.0.0.1:{server.getsockname()[1]}")
    assert not answers("127.0.0.1:1") and not answers("somewhere")


def test_submitit_runs_an_array(tmp_path):
    pytest.importorskip("submitit", reason="pip install 'nfml_jax[cluster]'")
    jobs = children(wrong, (1, 0), tmp_path)
    slurm = make_executor("slurm", Options(slurm={"cluster": "local"}))
    assert len(list(slurm.run(jobs, GO_ON))) == 2
    said = [read_json(job.paths[0] / "status.json") for job in jobs]
    assert [s["status"] for s in said] == ["failed"] * 2
    assert said[0]["error"] == "seed 1 is wrong" and "its job" in said[1]["error"]


@pytest.mark.parametrize(
    "options, sentence",
    [
        ({}, "finds no SLURM"),
        ({"slurm": {"cluster": "local", "partitoin": "x"}}, "--slurm holds a wrong"),
        ({"slurm": {"cluster": "lsf"}}, "--slurm holds a wrong"),
    ],
)
def test_a_wrong_slurm_parameter_gets_a_sentence(options, sentence, monkeypatch):
    pytest.importorskip("submitit", reason="pip install 'nfml_jax[cluster]'")
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(UserError, match=sentence):
        make_executor("slurm", Options(**options))
