"""Runs of what stands beside the tests, in a process of its own."""

import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent


def run_script(name: str, *arguments: str, timeout: float) -> str:
    """What `name` prints, a file of this folder that imports the project and it."""
    run = subprocess.run(
        [sys.executable, str(HERE / name), *arguments],
        env=os.environ | {"PYTHONPATH": f"{HERE}:{HERE.parents[1]}"},
        capture_output=True,
        text=True,
        timeout=timeout,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    return run.stdout
