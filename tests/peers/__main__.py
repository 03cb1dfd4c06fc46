"""Compare this project with its peers: `python -m tests.peers [PEER ...]`.

A peer that needs an environment of its own runs there, in one that pip makes below the
user's cache, or in the interpreter that `--peer-python=[NAME=]PATH` names, as in the
benchmarks. The exit code is 1 if a case failed or differs without an explanation.
"""

import argparse
import importlib
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from benchmarks.environments import cache, environment, named_pythons
from nfml_jax.errors import UserError
from nfml_jax.ops.names import look_up
from tests.peers import comparison
from tests.peers.theirs import VERSION

PEERS = {
    "pytorch-metric-learning": "pml_cases",
    "scikit-learn": "scikit_learn_cases",
    "distrax": "distrax_cases",
    "flowjax": "flowjax_cases",
    "zuko": "zuko_cases",
}
ROOT = Path(__file__).resolve().parents[2]


def main(arguments=None) -> int:
    parser = argparse.ArgumentParser("tests.peers", description=__doc__)
    add = parser.add_argument
    add("peers", nargs="*", metavar="PEER", help=f"some of {', '.join(PEERS)}")
    add("--environments", type=Path, default=cache(), help="where they are made")
    peers = "an interpreter with the peers of one environment, or of all"
    add("--peer-python", action="append", default=[], metavar="[NAME=]PATH", help=peers)
    add("--quiet", action="store_true", help="leave out the lines of equal cases")
    options = parser.parse_args(arguments)
    os.environ.setdefault("JAX_PLATFORMS", "cpu")  # all peers compute there
    pythons, found = named_pythons(options.peer_python), {}
    for name in options.peers or PEERS:
        module_name = look_up(PEERS, name, "peer")
        module = importlib.import_module(f"tests.peers.{module_name}")
        python = sys.executable
        if module.ENVIRONMENT is not None:
            python = pythons.get(module.ENVIRONMENT) or environment(
                module.ENVIRONMENT, options.environments
            )
        theirs = run_theirs(module_name, python)
        version = theirs.pop(VERSION)
        ours = comparison.measure(module.ours())
        outcomes = comparison.compare(ours, theirs, module.EXPLAINED)
        for one in outcomes:
            if one.kind != comparison.EQUAL or not options.quiet:
                print(f"{name}: {one}", flush=True)
        for pattern in comparison.needless(outcomes, module.EXPLAINED):
            print(f"{name}: the reason for {pattern!r} explains no difference.")
        found[f"{name} {version}"] = outcomes
    print("", comparison.summary(found), sep="\n")
    return int(any(map(comparison.wrong, found.values())))


def run_theirs(module: str, python: str) -> dict[str, np.ndarray]:
    """Return the peer's arrays, by the interpreter that has it.

    Raises UserError if that fails, with the last line that it wrote.
    """
    with tempfile.TemporaryDirectory() as place:
        file = Path(place) / "theirs.npz"
        command = [python, "-m", "tests.peers.theirs", module, str(file)]
        done = subprocess.run(command, cwd=ROOT, stderr=subprocess.PIPE, text=True)
        if done.returncode:
            lines = done.stderr.strip().splitlines() or ["no reason given"]
            raise UserError(
                f"{python} could not run tests.peers.{module} ({lines[-1]}); install "
                "the peer there, or name another interpreter with --peer-python."
            )
        return dict(np.load(file))


if __name__ == "__main__":
    try:
        sys.exit(main())
    except UserError as problem:
        print(f"tests.peers: {problem}", file=sys.stderr)
        sys.exit(2)
