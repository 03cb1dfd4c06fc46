"""Scripts beside the tests, run in a process of their own."""

import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent


def run_script(name: str, *arguments: str, timeout: float) -> str:
    """Return what a script prints; `name` is its path under tests/."""
    run = subprocess.run(
        [sys.executable, str(HERE / name), *arguments],
        env=os.environ | {"PYTHONPATH": str(HERE.parent)},
        capture_output=True,
        text=True,
        timeout=timeout,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    return run.stdout
