"""Run a config: `python launch.py --config=configs/arcface_mnist.py`.

This is `nfml train` for a clone that is not installed; `--help` lists the flags.
"""

import sys

from nfml_jax.cli.train import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], program="launch.py"))
