"""A sweep on SLURM, one of whose jobs is preempted; run by slurm.sh beside it."""

import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

from nfml_jax.training.executors import Options, make_executor
from nfml_jax.training.jobs import begin
from nfml_jax.training.sweeps import make_trials, param
from nfml_jax.training.trials import plan

sys.path.append(str(Path(__file__).parents[1] / "training"))
import regression


def late(config):
    """A regression; of seed 0 only when it is begun the second time."""
    marker = Path(config["name"])
    if config["seed"] == 0 and not marker.exists():
        marker.write_text(os.environ["SLURM_ARRAY_JOB_ID"])
        time.sleep(600)
    return regression.Regression(config)


def preempt(marker):
    """What SLURM does to a job that must make room: a signal, some time before."""
    while not (marker.exists() and marker.read_text()):
        time.sleep(0.1)
    subprocess.run(["scancel", "--signal=USR2", f"{marker.read_text()}_0"], check=True)


def test_a_preempted_job_is_queued_again_and_the_sweep_completes(tmp_path):
    marker = tmp_path / "marker"
    config = regression.config() | {"name": str(marker)}
    trials = make_trials(config, param("seed", 0, 1, 2))
    jobs = plan(late, trials, tmp_path / "sweep", vmap="off")
    for job in jobs:
        begin(job)
    threading.Thread(target=preempt, args=[marker], daemon=True).start()
    slurm = make_executor("slurm", Options(slurm={"timeout_min": 10}))
    assert len(list(slurm.run(jobs, SimpleNamespace(wanted=None)))) == 3
    assert [job.statuses() for job in jobs] == [["done"]] * 3 and marker.exists()
    logs = (tmp_path / "sweep" / ".slurm").glob("*_0_log.err")
    assert any("requeue" in log.read_text().lower() for log in logs)


def test_a_wish_to_stop_takes_the_jobs_out_of_the_queue(tmp_path):
    marker = tmp_path / "marker"
    config = regression.config() | {"name": str(marker)}
    jobs = plan(late, make_trials(config, param("seed", 0, 1)), tmp_path, vmap="off")
    for job in jobs:
        begin(job)
    wish = SimpleNamespace(wanted=None)

    def stop():
        while not marker.exists():
            time.sleep(0.1)
        wish.wanted = "Ctrl-C"

    threading.Thread(target=stop, daemon=True).start()
    slurm = make_executor("slurm", Options(jobs=1))
    list(slurm.run(jobs, wish))
    queue = ["squeue", "--noheader"]
    assert not subprocess.run(queue, capture_output=True, text=True).stdout.strip()
