"""Jobs on a Ray cluster whose machines share the file system of the runs.

Ray places a job where cores and GPUs are free. It restarts the job, from its last
checkpoint, when its worker or machine is lost.
"""

import contextlib
import os
import signal
import socket
import threading

from nfml_jax.distributed.interrupts import Interrupts
from nfml_jax.errors import UserError
from nfml_jax.runs.trackers import VARIABLE
from nfml_jax.sweeps.executors import Options, import_path, needs
from nfml_jax.sweeps.jobs import Job, finalize, mark_lost, run_job

RETRIES = 3  # restarts of a job whose worker died
WAIT_SECONDS = 0.5
ANSWER_SECONDS = 3.0
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"  # RFC 9113, section 3.4
EMPTY_SETTINGS = b"\0\0\0\4\0\0\0\0\0"
SETTINGS = 4  # the kind of frame that a server begins with


class Ray:
    """An executor on the cluster at `options.ray_address`, or on one for this sweep."""

    def __init__(self, options: Options):
        # Ray's default is a warning about the future on each start.
        os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
        self._ray, self._options = needs("ray", "ray"), options
        address = options.ray_address
        if address not in ("", "auto") and not answers(address):
            raise no_cluster(address)

    def run(self, jobs, interrupts):
        ray, options = self._ray, self._options
        self._connect()
        try:
            run = ray.remote(
                num_cpus=options.cpus,
                num_gpus=options.gpus,
                max_calls=1,  # JAX's settings belong to a process: each job has its own
                max_retries=RETRIES,
                retry_exceptions=False,
            )(run_or_leave)
            waiting, running, stopping = list(jobs), {}, False
            while waiting or running:
                if interrupts.requested and not stopping:
                    stopping = True
                    waiting.clear()
                    for ref in running:
                        ray.cancel(ref)
                while waiting and len(running) < (options.jobs or len(jobs)):
                    job = waiting.pop(0)
                    running[run.remote(job)] = job
                ready, _ = ray.wait([*running], timeout=WAIT_SECONDS)
                for ref in ready:
                    job = running.pop(ref)
                    self._mark_lost(ref, job, stopping)
                    if job.statuses() != ["pending"] * len(job.paths):
                        yield job
        finally:
            ray.shutdown()

    def _connect(self):
        try:
            with _own_signals():
                self._ray.init(
                    address=self._options.ray_address or "local",
                    runtime_env={"env_vars": _variables()},
                    include_dashboard=None if self._options.ray_address else False,
                    log_to_driver=False,
                    logging_level="ERROR",
                )
        except (ConnectionError, ValueError):
            raise no_cluster(self._options.ray_address) from None

    def _mark_lost(self, ref, job, stopping):
        """Write the status of the trials of a job that Ray gave up."""
        try:
            self._ray.get(ref)
        except self._ray.exceptions.RayError as problem:
            if stopping:
                if "running" in job.statuses():
                    finalize(job, "interrupted")
            else:
                words = str(problem).strip().splitlines() or [type(problem).__name__]
                mark_lost(job, f"Ray gave it up: {words[-1].strip()}")


@contextlib.contextmanager
def _own_signals():
    """Let SIGTERM end this process at once, as Ray needs; restore it at exit."""
    ours = {number: signal.getsignal(number) for number in Interrupts.signals}
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():
            for number, handler in ours.items():
                signal.signal(number, handler)


def run_or_leave(job: Job) -> None:
    """Run a job in a worker; a stop request ends trials that do not train yet at once.

    Ray turns the request into one KeyboardInterrupt, and Python drops one that comes in
    a callback.
    """

    def leave(*_):
        finalize(job, "interrupted")
        os._exit(1)

    signal.signal(signal.SIGINT, leave)
    run_job(job)


def no_cluster(address: str) -> UserError:
    """Return the error for an address at which no Ray cluster answers."""
    return UserError(
        f"no Ray cluster answers at --ray_address={address}; give the HOST:PORT that "
        "`ray start --head` says, or no address for a cluster of this machine."
    )


def answers(address: str) -> bool:
    """Return whether a gRPC server responds at HOST:PORT.

    Ray itself would wait for a minute at a port where another service listens.
    """
    host, _, port = address.removeprefix("ray://").rpartition(":")
    try:
        with socket.create_connection((host, int(port)), ANSWER_SECONDS) as server:
            server.settimeout(ANSWER_SECONDS)
            server.sendall(PREFACE + EMPTY_SETTINGS)
            head = server.recv(9)
    except (OSError, ValueError, OverflowError):
        return False
    return len(head) > 3 and head[3] == SETTINGS


def _variables() -> dict[str, str]:
    """Return the environment variables that the workers need."""
    tracked = {VARIABLE: os.environ[VARIABLE]} if VARIABLE in os.environ else {}
    return {"PYTHONPATH": import_path()} | tracked
