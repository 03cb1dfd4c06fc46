"""The provenance of a run's numbers: versions, devices and the source's revision."""

import importlib.metadata
import os
import platform
import subprocess
from pathlib import Path

from nfml_jax.ops.devices import Device
from nfml_jax.version import __version__

PACKAGES = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy")


def versions() -> dict[str, str]:
    """Return the versions that determine a run's numbers."""
    found = {"python": platform.python_version(), "nfml_jax": __version__}
    return found | {name: importlib.metadata.version(name) for name in PACKAGES}


def device_description(devices: list[Device]) -> str:
    """Describe devices: "2 × NVIDIA H100 80GB HBM3" or "1 × cpu (2 cores)"."""
    kind = devices[0].device_kind
    if devices[0].platform == "cpu":
        kind = (
            f"cpu ({len(os.sched_getaffinity(0))} cores)"
            if hasattr(os, "sched_getaffinity")
            else f"cpu ({os.cpu_count()} cores)"
        )
    return f"{len(devices)} × {kind}"


def revision() -> str | None:
    """Return the git revision of the source tree, or None outside of one.

    A tree with changes gives "+changes" after it.
    """
    here = Path(__file__).parent

    def git(*args):
        return subprocess.run(
            ["git", *args], cwd=here, capture_output=True, text=True, check=True
        ).stdout.strip()

    try:
        # An installed copy may lie inside an unrelated repository.
        if git("ls-files", "--", Path(__file__).name) == "":
            return None
        changes = git("status", "--porcelain", "--untracked-files=no")
        return git("rev-parse", "HEAD") + ("+changes" if changes else "")
    except (OSError, subprocess.CalledProcessError):
        return None
