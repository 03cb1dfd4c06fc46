"""One job after another, in this process: nothing is imported or compiled twice."""

from nfml_jax.sweeps.executors import Options
from nfml_jax.sweeps.jobs import run_job


class Here:
    """An executor in this process."""

    def __init__(self, options: Options):
        pass

    def run(self, jobs, interrupts):
        for job in jobs:
            if interrupts.requested:
                return
            run_job(job)
            yield job
            if "interrupted" in job.statuses():
                return  # the job has handled the stop request of the sweep
