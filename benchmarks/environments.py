"""The peers' environments, which pip makes on first use in the user's cache."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from nfml_jax.errors import UserError
from nfml_jax.ops.names import look_up

ENVIRONMENTS = {
    file.stem: file for file in sorted((Path(__file__).parent / "peers").glob("*.txt"))
}
"""Requirements of each environment, in the versions last timed."""


def cache() -> Path:
    """Return the folder of environments, in the user's cache."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "nfml_jax" / "benchmarks"


def named_pythons(values: Iterable[str]) -> dict[str, str]:
    """Return interpreters by environment, from `NAME=PATH`, or `PATH` for all of them.

    Raises UserError for an unknown name, and for a path that can't be run.
    """
    pythons = {}
    for value in values:
        name, _, path = value.rpartition("=")
        names = ENVIRONMENTS
        if name:
            look_up(ENVIRONMENTS, name, "environment of peers")
            names = (name,)
        if shutil.which(path) is None:
            raise UserError(
                f"--peer-python={value} cannot be executed; name a Python "
                "interpreter, or leave it out to have an environment made."
            )
        pythons |= dict.fromkeys(names, os.path.abspath(shutil.which(path)))
    return pythons


def environment(name: str, folder: Path) -> str:
    """Return the interpreter of an environment in `folder`, which is made if missing.

    Raises UserError if making it fails, and then removes what was made.
    """
    file, place = ENVIRONMENTS[name], folder / name
    python, made = place / "bin" / "python", place / "made_of.txt"
    wanted = file.read_text()
    if python.exists() and made.is_file() and made.read_text() == wanted:
        return str(python)
    packages = [line for line in wanted.splitlines() if not line.startswith("#")]
    print(
        f"Making the environment {name} in {place}, once: pip installs "
        f"{', '.join(packages)}, up to some gigabytes. This takes minutes.",
        flush=True,
    )
    try:
        shutil.rmtree(place, ignore_errors=True)
        folder.mkdir(parents=True, exist_ok=True)
        _run(sys.executable, "-m", "venv", str(place))
        _run(str(python), "-m", "pip", "install", "--quiet", "-r", str(file))
        made.write_text(wanted)
    except BaseException as problem:
        shutil.rmtree(place, ignore_errors=True)
        if not isinstance(problem, OSError | subprocess.CalledProcessError):
            raise
        raise UserError(
            f"the environment {name} could not be made in {folder} "
            f"({_reason(problem)}); correct that, name another folder with "
            f"--environments, or an interpreter with --peer-python={name}=PATH."
        ) from None
    return str(python)


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True, text=True)


def _reason(problem: OSError | subprocess.CalledProcessError) -> str:
    """Return the last message of a failed command."""
    if isinstance(problem, OSError):
        return problem.strerror or str(problem)
    lines = (problem.stderr or problem.stdout or "").strip().splitlines()
    errors = [line for line in lines if line.startswith("ERROR:")] or lines
    return (
        errors[-1].removeprefix("ERROR:").strip(" .") if errors else "no reason given"
    )
