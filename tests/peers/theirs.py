"""A peer's arrays, in the peer's environment: `python -m tests.peers.theirs NAME FILE`.

It writes the version and the arrays of all cases to an .npz file.
"""

import importlib
import sys
from importlib import metadata

import numpy as np

from tests.peers.comparison import measure

VERSION = "version of the peer"

if __name__ == "__main__":
    name, file = sys.argv[1:]
    module = importlib.import_module(f"tests.peers.{name}")
    found = measure(module.theirs())
    np.savez(file, **{VERSION: np.array(metadata.version(module.PEER))}, **found)
