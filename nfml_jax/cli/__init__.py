"""The command `nfml`: one file for each subcommand, and one line in `GROUPS`.

Each file has a function `main(arguments)` that returns the exit code.
"""

import importlib
import sys
from collections.abc import Sequence

from nfml_jax.cli.command import answer, command, explained
from nfml_jax.errors import UserError
from nfml_jax.ops.names import did_you_mean
from nfml_jax.version import __version__

__all__ = ["COMMANDS", "main"]

GROUPS = {
    "the laboratory": {
        "train": "run a config, or a sweep of runs",
        "init": "copy the configs and experiments into a folder, to edit them",
        "results": "make a table, and figures, of run directories",
        "reproduce": "run kept results again and compare the metrics",
        "draw": "draw two-dimensional embeddings and densities of runs",
    },
    "trained models": {
        "verify": "decide whether two pictures show the same class",
        "identify": "identify people in pictures, given a folder of known people",
        "outliers": "list training images that lie far from their class",
        "score": "score the rows of a table under a trained density",
        "sample": "draw images of a trained flow of images",
        "bits": "print the bits per dimension of pictures",
        "interpolate": "draw the images between two pictures",
        "share": "write a trained model as a folder for others, or to the Hub",
        "export": "write a trained encoder as one file that needs only JAX",
    },
    "the library": {
        "heads": "print the table of margin heads",
        "losses": "print the table of losses",
        "maps": "print the tables of bijectors, transforms and recipes of flows",
        "geometry": "draw the geometry of margins, losses and metrics",
        "completion": "print a script that completes this command in a shell",
    },
}
COMMANDS = {name: words for group in GROUPS.values() for name, words in group.items()}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the subcommand that the first argument names; return the exit code."""
    name, *rest = (sys.argv[1:] if arguments is None else arguments) or ["--help"]
    if name not in COMMANDS:
        return _help(name)
    modules = []

    def find():
        try:
            modules.append(importlib.import_module(f"nfml_jax.cli.{name}"))
        except ImportError as problem:
            raise explained(problem, f"nfml {name}") from problem

    return answer(find) or modules[0].main(rest)


@command
def _help(name: str) -> None:
    """Print the list of commands or the version, or refuse an unknown command."""
    if name in ("-V", "--version", "version"):
        print(f"nfml_jax {__version__}")
    elif name in ("-h", "--help", "help"):
        print(_usage())
    else:
        raise UserError(
            f"nfml has no command {name!r}{did_you_mean(name, COMMANDS)}; the commands "
            f"are {', '.join(COMMANDS)}."
        )


def _usage() -> str:
    """Return the commands in groups, which fit a screen of 24 lines."""
    lines = ["usage: nfml COMMAND ...   (nfml COMMAND --help, nfml --version)"]
    width = max(map(len, COMMANDS))
    for title, group in GROUPS.items():
        lines.append(f"{title}:")
        lines += [f"  {name:{width}}  {words}" for name, words in group.items()]
    return "\n".join(lines)
