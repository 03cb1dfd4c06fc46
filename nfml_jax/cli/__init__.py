"""The command `nfml`: one file for each subcommand, and one line in `COMMANDS`.

Each file has a function `main(arguments)` that returns the exit code.
"""

import importlib
import sys
from collections.abc import Sequence

from nfml_jax.cli.command import command
from nfml_jax.errors import UserError
from nfml_jax.ops.names import did_you_mean

__all__ = ["COMMANDS", "main"]

COMMANDS = {
    "results": "make a table, and figures, of run directories",
    "reproduce": "run kept results again and compare the metrics",
    "draw": "draw two-dimensional embeddings and densities of runs",
    "verify": "decide whether two pictures show the same class",
    "identify": "identify people in pictures, given a folder of known people",
    "outliers": "list training images that lie far from their class",
    "score": "score the rows of a table under a trained density",
    "sample": "draw images of a trained flow of images",
    "bits": "print the bits per dimension of pictures",
    "export": "write a trained encoder as one file that needs only JAX",
    "heads": "print the table of margin heads",
    "losses": "print the table of losses",
    "maps": "print the tables of bijectors, transforms and recipes of flows",
}

USAGE = """usage: nfml COMMAND ... (nfml COMMAND --help for its arguments)

{commands}

To train, run `python launch.py --config=configs/X.py` in a clone."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the subcommand that the first argument names; return the exit code."""
    name, *rest = (sys.argv[1:] if arguments is None else arguments) or ["--help"]
    if name in COMMANDS:
        return importlib.import_module(f"nfml_jax.cli.{name}").main(rest)
    return _help(name)


@command
def _help(name: str) -> None:
    """Print the list of commands, or refuse an unknown one."""
    if name not in ("-h", "--help", "help"):
        raise UserError(
            f"nfml has no command {name!r}{did_you_mean(name, COMMANDS)}; the commands "
            f"are {', '.join(COMMANDS)}."
        )
    width = max(map(len, COMMANDS))
    lines = [f"  {name:{width}}  {words}" for name, words in COMMANDS.items()]
    print(USAGE.format(commands="\n".join(lines)))
