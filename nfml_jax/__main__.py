"""`python -m nfml_jax` is the command `nfml`."""

import sys

from nfml_jax.cli import main

if __name__ == "__main__":
    sys.exit(main())
