"""A config's numbers as arguments of a program, which then serves all such configs."""

import copy
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import numpy as np

from nfml_jax.ops.names import flatten
from nfml_jax.training.setup import Setup

Numbers = Mapping[str, Any]
"""Numbers of a config by their dotted names: traced arrays within a program."""


def differing(configs: Sequence[dict]) -> list[str]:
    """Return the dotted fields in which configs differ."""
    flat = [flatten(config) for config in configs]
    return [n for n, v in flat[0].items() if any(other[n] != v for other in flat)]


def numbers_of(config: dict, names: Sequence[str]) -> Numbers:
    """Return a config's numbers as a program takes them; a seed has 32 bits."""
    fields = flatten(config)
    return {
        name: np.uint32(fields[name]) if name == "seed" else np.float32(fields[name])
        for name in names
    }


def with_numbers(setup: Setup, numbers: Numbers) -> Setup:
    """Return a setup with some numbers of its config replaced, as by tracers."""
    config = copy.deepcopy(setup.config)
    for name, value in numbers.items():
        *path, last = name.split(".")
        functools.reduce(dict.__getitem__, path, config)[last] = value
    return setup.with_config(config)


class Programs:
    """A compiler of functions that the experiments of several setups have in common.

    A method of an experiment becomes a program of its numbers and its arguments.
    """

    def __init__(self, setup: Setup):
        self._setup = setup
        self._shared: dict[Callable, Callable] = {}

    def of(self, numbers: Numbers) -> Callable[[Callable], Callable]:
        """Return the compiler of functions for the experiment with these numbers."""

        def compiled(function):
            owner = getattr(function, "__self__", None)
            if type(owner) is not type(self._setup.experiment):
                return jax.jit(function)
            method = function.__func__

            def program(numbers, *arguments):
                experiment = with_numbers(self._setup, numbers).experiment
                return method(experiment, *arguments)

            shared = self._shared.setdefault(method, jax.jit(program))
            return functools.partial(shared, numbers)

        return compiled
