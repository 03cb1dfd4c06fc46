"""The commands and scripts of README.md and docs/, and ways for a test to run them."""

import ast
import contextlib
import functools
import importlib
import importlib.util
import re
import shlex
import sys
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from absl import flags, logging
from filelock import FileLock

from nfml_jax.cli import train
from nfml_jax.cli.command_line import read_config

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
PAGES = [README, *sorted((ROOT / "docs").glob("*.md"))]
COMMAND = re.compile(r"(srun )?(python|pip|nfml|mkdocs|tensorboard) ")


def commands() -> list[str]:
    """Each command of the pages on one line, without its comment, in their order.

    They are those of the fenced blocks of bash, and those in backticks in the text.
    """
    found = []
    for text in map(_read, PAGES):
        for block in re.findall(r"```bash\n(.*?)```", text, re.DOTALL):
            for line in block.replace("\\\n", " ").splitlines():
                found += re.sub(r"(^|\s)#.*", "", line).split("&&")
        text = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
        found += filter(COMMAND.match, re.findall(r"`([^`]+)`", text))
    return [*dict.fromkeys(_in_a_clone(" ".join(c.split())) for c in found if c)]


def _in_a_clone(command: str) -> str:
    """Return a command of the installed package as one of a clone."""
    command = re.sub(r"\bnfml train", "python launch.py", command)
    command = re.sub(
        r"--config=(?=[a-z])(\w+)(?!\S*\.py)", r"--config=configs/\1.py", command
    )
    command = re.sub(
        r"--sweep=(\w+)(?= |$)",
        lambda m: m[0] if m[1].isupper() else f"--sweep=configs/sweeps/{m[1]}.py",
        command,
    )
    return re.sub(r"^nfml(?= |$)", "python -m nfml_jax", command)


@functools.cache
def scripts() -> dict[str, str]:
    """The fenced blocks of Python of the pages, each once, by page and number."""
    found = {}
    for page in PAGES:
        blocks = re.findall(r"```python\n(.*?)```", _read(page), re.DOTALL)
        for number, block in enumerate(blocks):
            if block not in found.values():
                found[f"{page.name}-{number}"] = block
    return found


def _read(page: Path) -> str:
    return page.read_text(encoding="utf-8")


@dataclass(frozen=True)
class InTheSuite:
    """An entry of a command that another test runs, `FILE::NAME` under tests/.

    Here `launch.py` reads its flags alone.
    """

    test: str

    def __call__(self, command: str, place: "Place") -> None:
        words = shlex.split(command)
        if words[1] == "launch.py" and re.search(r"--config=configs/[a-z]", command):
            place.read_flags(words[1:])
        file, name = self.test.split("::")
        tree = ast.parse((ROOT / "tests" / file).read_text(encoding="utf-8"))
        names = {n.name for n in tree.body if isinstance(n, ast.FunctionDef)}
        assert name in names, f"tests/{self.test}, which runs {command!r}, is gone."


@dataclass(frozen=True)
class ByHand:
    """An entry of a command that no test runs, with the reason."""

    reason: str

    def __call__(self, command: str, place: "Place") -> None:
        assert self.reason


@dataclass(frozen=True)
class Run:
    """An entry of a command that runs as it stands, with `words` replaced in it.

    `more` are words after it, and `prints` are some that it must print.
    """

    words: dict[str, str]
    more: str = ""
    prints: str = ""

    def __call__(self, command: str, place: "Place") -> None:
        for old, new in self.words.items():
            assert old in command, f"{old!r} is replaced, but not in {command!r}."
            command = command.replace(old, new)
        said = place.run(place.filled(f"{command} {self.more}"))
        assert self.prints in said, said


@dataclass(frozen=True)
class Smoke:
    """An entry of a run that uses its config's smoke form, with `more` overrides."""

    more: str = ""

    def __call__(self, command: str, place: "Place") -> None:
        config = re.search(r"--config=(\S+)", command)[1]
        more = f"{command.partition(config)[2]} {self.more}".strip()
        run = place.trained(config, more)
        assert (run / "result.json").exists()


class Place:
    """A folder to run commands in, with the data that they name.

    What is trained is kept in `shared` and trained once for all tests and processes.
    """

    def __init__(self, folder: Path, shared: Path, capsys, monkeypatch):
        self.shared = shared
        self.capsys, self.monkeypatch = capsys, monkeypatch
        for name in ("configs", "results", "launch.py"):
            (folder / name).symlink_to(ROOT / name)
        monkeypatch.chdir(folder)

    def filled(self, command: str) -> str:
        """`command` with the directories that RUN:NAME and SWEEP:NAME stand for."""

        def directory(match):
            more = "--sweep=two_runs.py" if match[1] == "SWEEP" else ""
            return str(self.trained(f"configs/{match[2]}.py{match[3]}", more))

        return re.sub(r"(RUN|SWEEP):(\w+)((?::\w+)?)", directory, command)

    def trained(self, config: str, more: str = "") -> Path:
        """The directory of a finished smoke run of `config` with `more` flags."""
        words = f"--config={config}{',' if ':' in config else ':'}smoke {more}"
        run = self.shared / re.sub(r"\W+", "-", words).strip("-")
        done = Path(f"{run}.done")
        with FileLock(f"{run}.lock"):
            if not done.exists():
                words += f" {self._data(config)} --workdir={run}"
                self.run(f"python launch.py {words}")
                done.touch()
        return run

    def _data(self, config: str) -> str:
        """Flags that give a config of published pictures the made-up ones."""
        data = read_config([f"--config={config}"]).get("data", {})
        flags = {
            "manual_dir": self.shared / "pictures",
            "data_dir": self.shared / "prepared",
        }
        if "source" in data and data["name"] != "image_folder":
            flags["source"] = "manual"
        return " ".join(f"--config.data.{k}={v}" for k, v in flags.items() if k in data)

    def run(self, command: str) -> str:
        """Run a command in this process, as a shell would; return what it printed.

        Fails unless the exit code is 0.
        """
        python, *words = shlex.split(command)
        assert python == "python", command
        self.printed()
        if words[0] == "launch.py":
            code = self._launch(words)
        else:
            code = self._module(words[1]).main(words[2:])
        said = self.capsys.readouterr()
        assert not code, f"{command} ended with {code}: {said.err}"
        return said.out

    def printed(self) -> str:
        """Return the output since the last call."""
        return self.capsys.readouterr().out

    def _module(self, name: str):
        package = importlib.util.find_spec(name).submodule_search_locations
        return importlib.import_module(f"{name}.__main__" if package else name)

    def read_flags(self, words: list[str]) -> None:
        """Let `launch.py` read its flags, and do no more."""
        with self._flags(words):
            train.parse_flags(words)

    def _launch(self, words: list[str]) -> int:
        verbosity = logging.get_verbosity()
        with self._flags(words), warnings.catch_warnings():
            with pytest.raises(SystemExit) as end:
                train.main(words[1:], program=words[0])
            logging.set_verbosity(verbosity)
        return end.value.code

    @contextlib.contextmanager
    def _flags(self, words: list[str]) -> Iterator[None]:
        """Forget what other command lines set: a process has one table of flags."""
        for name in list(flags.FLAGS):
            if name.startswith("config."):
                delattr(flags.FLAGS, name)
            else:
                flags.FLAGS[name].unparse()
        flags.FLAGS.unparse_flags()
        with self.monkeypatch.context() as patch:
            patch.setattr(sys, "argv", words)
            yield
