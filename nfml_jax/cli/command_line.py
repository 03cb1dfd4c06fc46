"""The configs and sweeps of a command line, and checks of its flags."""

import importlib.util
import inspect
import re
from collections.abc import Collection, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from nfml_jax.cli.laboratory import find_file
from nfml_jax.errors import UserError
from nfml_jax.ops.checks import check_text
from nfml_jax.ops.names import flatten
from nfml_jax.sweeps.inline import fields_of, is_inline, parse_sweep
from nfml_jax.sweeps.overrides import Sweep, is_open, no_field
from nfml_jax.sweeps.searches import Search

# The folders of the files that flags name.
FOLDERS = {"config": "configs", "sweep": "configs/sweeps"}
OF_SEVERAL = ("coordinator", "num_processes", "process_id", "coordinator_timeout")
# Flags that only a sweep has, and the executors that use them (no entry: all); "" is
# the executor of a sweep that names none.
OF_A_SWEEP = {
    **dict.fromkeys(("dry_run", "retry", "vmap", "executor"), ()),
    "jobs": ("", "local", "ray", "slurm"),
    **dict.fromkeys(("cpus", "gpus"), ("ray", "slurm")),
    "ray_address": ("ray",),
    "slurm": ("slurm",),
}


def read_config(argv) -> ConfigDict:
    """Return the config of `--config=NAME[:ARGUMENT]`, before any override."""
    files = given(argv, "config")
    if not files:
        raise UserError(
            "no config is given; write --config=NAME, for example "
            "--config=arcface_mnist."
        )
    config = call_file(files[-1], "get_config", "config")
    if not isinstance(config, ConfigDict):
        raise UserError(
            f"get_config of {files[-1]} gives a {type(config).__name__}; expected an "
            "ml_collections.ConfigDict, such as configs.defaults.training makes."
        )
    return config


def read_sweep(
    text: str, config: dict, any_type: Collection[str] = ()
) -> Sweep | Search:
    """Return the overrides of an inline sweep, or of NAME[:ARGUMENT]'s get_sweep."""
    if is_inline(text):
        return parse_sweep(text, config, any_type)
    return call_file(text, "get_sweep", "sweep")


def sweep_name(text: str, config: dict) -> str:
    """Return a name: "plane_zoo-rates" for plane_zoo.py:rates, or "plane-seed"."""
    if is_inline(text):
        check_text("the config", empty=False, name=config.get("name"))
        return "-".join([config["name"], *fields_of(text)])
    path, *argument = text.split(":", 1)
    return "-".join([Path(path).stem, *argument])


def given(argv, flag: str) -> list[str]:
    """Return the values that the command line gives a flag, in either form."""
    values = [a.split("=", 1)[1] for a in argv if re.match(rf"--?{flag}=", a)]
    return values + [b for a, b in pairwise(argv) if re.fullmatch(rf"--?{flag}", a)]


def resolved(argv: Sequence[str]) -> list[str]:
    """Return a command line with the names of its config and sweep as their files."""
    items = list(argv)
    for flag in FOLDERS:
        for i, item in enumerate(items):
            if match := re.match(rf"--?{flag}=(.*)", item, re.DOTALL):
                items[i] = f"--{flag}={_file(flag, match.group(1))}"
            elif re.fullmatch(rf"--?{flag}", item) and i + 1 < len(items):
                items[i + 1] = _file(flag, items[i + 1])
    return items


def _file(flag: str, text: str) -> str:
    if flag == "sweep" and is_inline(text):
        return text
    return find_file(text, flag, FOLDERS[flag])


def call_file(text: str, function: str, kind: str) -> Any:
    """Return the result of `function` in a Python file, called with its :ARGUMENT.

    `text` names a "config" or a "sweep", by its path or its name; see `find_file`.
    """
    path, *argument = find_file(text, kind, FOLDERS[kind]).split(":", 1)
    spec = importlib.util.spec_from_file_location(f"{kind}_file", path)
    assert spec is not None and spec.loader is not None  # as it is a .py file
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except SyntaxError as problem:
        raise UserError(
            f"{path} is not Python: {problem.msg} in line {problem.lineno}."
        ) from None
    found = getattr(module, function, None)
    if not callable(found):
        raise UserError(f"{path} is not a {kind}: it has no function {function}.")
    try:
        inspect.signature(found).bind(*argument)
    except TypeError:
        given = f"the argument {argument[0]!r}" if argument else "no argument"
        raise UserError(f"{function} of {path} does not take {given}.") from None
    return found(*argument)


def check_overrides(argv, config: ConfigDict) -> None:
    """Raise UserError for `--config.X=V` with an unknown X, or a V of another type."""
    fields, types = flatten(config.to_dict()), _types(config)
    for item in argv:
        match = re.match(r"--?(no)?config\.([^=]+)(?:=(.*))?$", item, re.DOTALL)
        if not match:
            continue
        # A field whose name has a slash or a star in it stands in brackets.
        name = re.sub(r"""\[(["'])(.*?)\1\]""", r".\2", match.group(2))
        text = match.group(3)
        if name not in fields:
            if is_open(name):
                continue
            raise no_field(config.to_dict(), name)
        kind = types[name]
        try:
            if text not in (None, "None") and kind in (int, float):
                kind(text)
        except ValueError:
            expected = {int: "an integer", float: "a number"}[kind]
            raise UserError(
                f"{name} = {text!r} is not {expected}; the config has {fields[name]!r}."
            ) from None


def turned_off(argv) -> dict[str, str]:
    """Return the items `--config.FIELD=None` of a command line, and their fields.

    >>> turned_off(["launch.py", "--config.train.patience=None", "--config.seed=1"])
    {'--config.train.patience=None': 'train.patience'}
    """
    found = [re.match(r"--?config\.([\w.]+)=None$", item) for item in argv]
    return {match.group(0): match.group(1) for match in found if match}


def fields_of_any_type(config: ConfigDict) -> frozenset[str]:
    """Return the dotted fields that a config declares to take values of several types.

    >>> from ml_collections import FieldReference
    >>> scale = FieldReference(30.0, field_type=object)
    >>> fields_of_any_type(ConfigDict({"head": {"scale": scale, "margin": 0.5}}))
    frozenset({'head.scale'})
    """
    return frozenset(name for name, kind in _types(config).items() if kind is object)


def _types(config: ConfigDict, prefix: str = "") -> dict[str, type]:
    """Return the type of each dotted field, also of one that is None."""
    types: dict[str, type] = {}
    for name, value in config.items():
        if isinstance(value, ConfigDict):
            types |= _types(value, f"{prefix}{name}.")
        else:
            types[prefix + name] = config.get_type(name)
    return types


def check_flags(argv) -> None:
    """Raise UserError for flags that have no effect without, or with, another one."""

    def has(flag):
        return any(re.match(rf"--?(no)?{flag}(=|$)", item) for item in argv)

    for flag in filter(has, OF_SEVERAL):
        if not has("distributed"):
            raise UserError(
                f"--{flag} has no effect without --distributed; give that, too."
            )
    executor = (given(argv, "executor") or [""])[-1]
    for flag in filter(has, OF_A_SWEEP):
        executors = OF_A_SWEEP[flag]
        if not has("sweep"):
            raise UserError(f"--{flag} has no effect without a --sweep; give one.")
        if executors and executor not in executors:
            names = " or ".join(f"--executor={name}" for name in executors if name)
            raise UserError(
                f"--{flag} has no effect without {names}; give that, or leave it out."
            )
