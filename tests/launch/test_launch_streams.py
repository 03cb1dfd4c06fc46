"""Laws of what commands print: a closed, gone or full output gives no traceback."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

from nfml_jax.cli import COMMANDS

ROOT = Path(__file__).parents[2]

# A command that prints more than a pipe holds, then does what it was started for.
COMMAND = """
import pathlib, sys
from nfml_jax.cli.command import command

@command
def main(arguments=None):
    for _ in range(20_000):
        print("θ of a class")
    print("a warning of θ", file=sys.stderr)
    pathlib.Path(sys.argv[1]).write_text("written")

sys.exit(main())
"""


def run(tmp_path, redirection, **variables):
    """The exit code, standard error, and what was written by the command."""
    written = tmp_path / "file"
    shell = f'"$0" "$@" {redirection}; exit ${{PIPESTATUS[0]}}'
    done = subprocess.run(
        ["bash", "-c", shell, sys.executable, "-c", COMMAND, str(written)],
        cwd=ROOT,
        env=os.environ | variables,
        capture_output=True,
        text=True,
        timeout=60,
    )
    return done.returncode, done.stderr, written.exists() and written.read_text()


@pytest.mark.parametrize(
    "redirection",
    [">/dev/null", "| head -1", "2>&1 | true", ">&-", ">&- 2>&- <&-", "2>&-"],
)
def test_a_command_does_its_work_when_nobody_reads_what_it_prints(
    tmp_path, redirection
):
    code, said, written = run(tmp_path, redirection)
    assert (code, written) == (0, "written")
    assert said in ("", "a warning of θ\n")


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_an_output_on_a_full_disk_is_one_sentence(tmp_path, unbuffered):
    code, said, _ = run(tmp_path, ">/dev/full", PYTHONUNBUFFERED=unbuffered)
    assert code == 2
    assert said.startswith("error: cannot write to standard output (No space left")
    assert said.count("\n") == 1


def test_an_output_without_greek_letters_loses_them_alone(tmp_path):
    code, said, _ = run(tmp_path, "| tail -1", PYTHONIOENCODING="ascii")
    assert code == 0
    assert said == "a warning of \\u03b8\n"


COMMAND_FILES = [ROOT / "nfml_jax" / "cli" / f"{name}.py" for name in COMMANDS]


@pytest.mark.parametrize("path", COMMAND_FILES, ids=lambda path: path.stem)
def test_every_command_answers_in_this_way(path):
    (main,) = (
        node
        for node in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(node, ast.FunctionDef) and node.name == "main"
    )
    decorated = [ast.unparse(d) for d in main.decorator_list] == ["command"]
    # absl parses the flags of `nfml train`, which does itself what the decorator does.
    assert decorated or "answer(" in ast.unparse(main)
