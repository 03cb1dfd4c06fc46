"""Print a script that completes the command in a shell: `nfml completion SHELL`.

    nfml completion bash > ~/.local/share/bash-completion/completions/nfml
    nfml completion zsh > ~/.zfunc/_nfml   # a folder in $fpath

The script is made once, by shtab: nothing is imported while a line is completed.
"""

import argparse
import importlib
from typing import Any

from nfml_jax.cli.command import DESCRIBE, Described, command, make_parser
from nfml_jax.ops.extras import import_extra

SHELLS = ("bash", "zsh", "tcsh")


def full_parser() -> argparse.ArgumentParser:
    """Return the parser of `nfml` with those of all its commands."""
    from nfml_jax.cli import COMMANDS

    parser = argparse.ArgumentParser("nfml")
    parts = parser.add_subparsers(dest="command")
    for name, words in COMMANDS.items():
        own = _of_train() if name == "train" else _of_command(name)
        parts.add_parser(name, parents=[own], add_help=False, help=words)
    return parser


def _of_command(name: str) -> argparse.ArgumentParser:
    try:
        importlib.import_module(f"nfml_jax.cli.{name}").main(DESCRIBE)
    except Described as found:
        return found.parser
    raise AssertionError(f"nfml {name} has no parser")


def _of_train() -> argparse.ArgumentParser:
    """Return a parser with the flags of `nfml train`, which absl reads."""
    from absl.flags import FLAGS

    from nfml_jax.cli import train_flags
    from nfml_jax.cli.laboratory import laboratory

    names = sorted(path.stem for path in (laboratory() / "configs").glob("*.py"))
    parser = make_parser("train", None)
    for flag in FLAGS.get_flags_for_module(train_flags.__name__):
        choices = getattr(flag.parser, "enum_values", None)
        if flag.name == "config":
            choices = names
        options: dict[str, Any] = {"choices": choices}
        if flag.boolean:
            options = {"action": "store_true"}
        words = (flag.help or "").replace("%", "%%")
        parser.add_argument(f"--{flag.name}", help=words, **options)
    return parser


@command
def main(arguments=None) -> None:
    """Run the command `nfml completion`."""
    parser = make_parser("completion", __doc__)
    parser.add_argument("shell", choices=SHELLS)
    shell = parser.parse_args(arguments).shell
    print(import_extra("shtab", "nfml completion").complete(full_parser(), shell))
