"""Runs the laws of pair_devices.py where there are two (fake) devices."""

import os
import subprocess
import sys
from pathlib import Path


def test_pair_losses_on_two_devices():
    here = Path(__file__).parent
    flags = os.environ.get("XLA_FLAGS", "")
    environment = os.environ | {
        "XLA_FLAGS": f"{flags} --xla_force_host_platform_device_count=2",
        "JAX_PLATFORMS": "cpu",
    }
    command = [sys.executable, "-m", "pytest", "-n", "0", "-p", "no:cacheprovider"]
    run = subprocess.run(
        [*command, str(here / "pair_devices.py")],
        env=environment,
        cwd=here.parents[1],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert run.returncode == 0, run.stdout[-4000:] + run.stderr[-2000:]
