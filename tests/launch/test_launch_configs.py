"""The commands and costs that the docstrings of configs and sweeps give."""

import ast
import re
import shlex
from pathlib import Path

import pytest

from nfml_jax.cli.command_line import check_overrides, given, read_config, read_sweep
from nfml_jax.cli.train_sweep import trials_of
from nfml_jax.errors import UserError

ROOT = Path(__file__).parents[2]
FILES = [*sorted(ROOT.glob("configs/*.py")), *sorted(ROOT.glob("configs/sweeps/*.py"))]
CONFIGS = [str(path.relative_to(ROOT)) for path in FILES]


def commands(path):
    """Return the indented commands of a file's docstring, as lists of words."""
    text = ast.get_docstring(ast.parse((ROOT / path).read_text(encoding="utf-8")))
    lines = re.sub(r"\\\n\s*", "", text).splitlines()
    return [shlex.split(x, comments=True) for x in lines if re.match(" *python ", x)]


@pytest.mark.parametrize("path", CONFIGS)
def test_the_commands_of_a_docstring_are_right(path, monkeypatch):
    monkeypatch.chdir(ROOT)
    flag = "--sweep" if "sweeps/" in path else "--config"
    launches = [words for words in commands(path) if words[1] == "launch.py"]
    assert any(f"{flag}={path}" in word for words in launches for word in words)
    for _, _, *words in launches:
        config = read_config(words)
        check_overrides(words, config)
        for sweep in given(words, "sweep"):
            assert trials_of(config, read_sweep(sweep, config.to_dict()))


@pytest.mark.parametrize("path", CONFIGS)
def test_a_docstring_says_what_a_run_costs(path):
    text = ast.get_docstring(ast.parse((ROOT / path).read_text(encoding="utf-8")))
    assert re.search(r"\b(seconds?|minutes?|hours?)\b", text)


@pytest.mark.parametrize("path", [p for p in CONFIGS if "sweeps/" not in p])
def test_an_unknown_argument_is_one_sentence(path, monkeypatch):
    monkeypatch.chdir(ROOT)
    with pytest.raises(UserError, match=r"smok'.*smoke|'smok' is not known"):
        read_config([f"--config={path}:smok"])


def test_the_earlier_name_of_a_config_gives_the_same(monkeypatch):
    monkeypatch.chdir(ROOT)
    earlier = read_config(["--config=configs/arcface_folder.py:smoke"])
    assert earlier == read_config(["--config=configs/folder.py:arcface,smoke"])


def test_the_choices_of_an_argument_are_named(monkeypatch):
    monkeypatch.chdir(ROOT)
    for argument, sentence in {
        "nsf.py:powr": "did you mean 'power'.*known are: bsds300, bsds300_patches, gas",
        "mnist_2d.py:cosfac,smoke": "did you mean 'cosface'.*known are: adacos, ",
        "arcface_mnist.py:smok": "did you mean 'smoke'.*fashion_mnist, mnist, smoke",
        "variational.py:maf": "known are: iaf, planar, rq_nsf, smoke, sylvester",
    }.items():
        with pytest.raises(UserError, match=sentence):
            read_config([f"--config=configs/{argument}"])
