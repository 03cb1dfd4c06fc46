"""Laws of several devices, which are fake ones of the CPU.

JAX counts its devices once in a process, so that a process of its own runs the files
of each count.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
FILES = {
    2: (
        "experiments/identities_devices.py",
        "losses/pair_devices.py",
        "training/two_devices.py",
    ),
    8: ("bijectors/bijector_devices.py", "heads/head_devices.py"),
}


@pytest.mark.parametrize("count", FILES)
def test_laws_hold_on_several_devices(count, pytestconfig):
    flags = os.environ.get("XLA_FLAGS", "")
    environment = os.environ | {
        "XLA_FLAGS": f"{flags} --xla_force_host_platform_device_count={count}",
        "JAX_PLATFORMS": "cpu",
    }
    command = [sys.executable, "-m", "pytest", "-n", "0", "-p", "no:cacheprovider"]
    command += ["--slow"] if pytestconfig.getoption("--slow") else []
    done = subprocess.run(
        [*command, *(str(HERE / file) for file in FILES[count])],
        env=environment,
        cwd=pytestconfig.rootpath,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]


def test_every_file_of_devices_is_run():
    found = {str(path.relative_to(HERE)) for path in HERE.glob("*/*_devices.py")}
    found -= {str(path.relative_to(HERE)) for path in HERE.glob("*/test_*.py")}
    assert found == {file for files in FILES.values() for file in files}
