"""Executors: what crashes, stops or moves harms no other trial."""

import os
import signal
import socket
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import regression

from nfml_jax.errors import UserError
from nfml_jax.training import jobs as one
from nfml_jax.training.executors import Options, make_executor, needs
from nfml_jax.training.executors.ray_cluster import answers
from nfml_jax.training.run_directory import read_json
from nfml_jax.training.sweeps import make_trials, param
from nfml_jax.training.trials import plan

CHILD = regression.config()
HEAD = {"num_cpus": 1, "include_dashboard": False}
GO_ON = SimpleNamespace(wanted=None)


def wrong(config):
    """An experiment that ends its process, or is a mistake."""
    if config["seed"] == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    raise UserError(f"seed {config['seed']} is wrong")


def endless(config):
    time.sleep(600)


def late(config):
    """A regression; of seed 0 only when it is begun the second time."""
    marker = Path(config["name"])
    if config["seed"] == 0 and not marker.exists():
        marker.write_text(str(os.getpid()))
        time.sleep(600)
    return regression.Regression(config)


def kill_once(marker):
    """Kills the process that `late` has begun in."""
    while not (marker.exists() and marker.read_text()):
        time.sleep(0.05)
    os.kill(int(marker.read_text()), signal.SIGKILL)


def children(make_experiment, seeds, folder, name="regression"):
    """The jobs of a sweep over seeds, ready for processes of their own."""
    trials = make_trials(CHILD | {"name": name}, param("seed", *seeds))
    jobs = plan(make_experiment, trials, folder, vmap="off")
    for job in jobs:
        one.begin(job)
    return jobs


def test_a_process_that_dies_takes_its_own_trial_only(tmp_path):
    jobs = children(wrong, (0, 1), tmp_path)
    processes = make_executor("local", Options(jobs=2))
    ended = list(processes.run(jobs, GO_ON))
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


@pytest.fixture(scope="module")
def cluster():
    """The address of a Ray cluster of two machines, both of them this one."""
    pytest.importorskip("ray", reason="pip install -r requirements-cluster.txt")
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args=HEAD)
    cluster.add_node(num_cpus=1)
    yield cluster.address
    cluster.shutdown()


def test_ray_runs_a_job_again_whose_worker_was_killed(cluster, tmp_path):
    marker = tmp_path / "marker"
    jobs = children(late, (0, 1, 2), tmp_path / "sweep", str(marker))
    killer = threading.Thread(target=kill_once, args=[marker], daemon=True)
    killer.start()
    ray = make_executor("ray", Options(ray_address=cluster))
    assert len(list(ray.run(jobs, GO_ON))) == 3
    killer.join(timeout=1)
    assert [job.statuses() for job in jobs] == [["done"]] * 3 and marker.exists()


def test_ray_lets_a_job_go_that_is_to_stop(cluster, tmp_path):
    jobs = children(endless, (0, 1), tmp_path)
    wish = SimpleNamespace(wanted=None)
    ray = make_executor("ray", Options(ray_address=cluster, jobs=1))

    def stop():
        while not (tmp_path / jobs[0].name / "terminal.txt").exists():
            time.sleep(0.05)
        wish.wanted = "Ctrl-C"

    threading.Thread(target=stop, daemon=True).start()
    assert list(ray.run(jobs, wish)) == jobs[:1]
    assert [job.statuses() for job in jobs] == [["interrupted"], ["pending"]]


def test_a_port_where_no_ray_listens_is_told_at_once():
    with socket.create_server(("127.0.0.1", 0)) as server:
        assert not answers(f"127.0.0.1:{server.getsockname()[1]}")
    assert not answers("127.0.0.1:1") and not answers("somewhere")


def test_submitit_runs_an_array(tmp_path):
    pytest.importorskip("submitit", reason="pip install -r requirements-cluster.txt")
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
def test_a_wrong_word_about_slurm_gets_a_sentence(options, sentence, monkeypatch):
    pytest.importorskip("submitit", reason="pip install -r requirements-cluster.txt")
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(UserError, match=sentence):
        make_executor("slurm", Options(**options))
