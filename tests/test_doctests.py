"""The examples in docstrings, run as written."""

import doctest
import importlib
import inspect
import pkgutil

import pytest

# The rooms whose docstrings are read: packages of `nfml_jax`.
ROOMS = (
    "bijectors",
    "evaluation",
    "flows",
    "heads",
    "losses",
    "mahalanobis",
    "ops",
    "variational",
)
# Rooms in which every public class and function has an example.
WITH_EXAMPLES = ("bijectors", "flows", "heads", "losses", "variational")


def modules():
    """Return the names of all modules of the rooms."""
    for room in ROOMS:
        package = importlib.import_module(f"nfml_jax.{room}")
        yield package.__name__
        found = pkgutil.walk_packages(package.__path__, f"{package.__name__}.")
        yield from (module.name for module in found if "__main__" not in module.name)


@pytest.mark.usefixtures("programs")
@pytest.mark.parametrize("name", list(modules()))
def test_examples_give_what_they_say(name, pytestconfig):
    # The options are in pyproject.toml, where pytest reads them too.
    names = pytestconfig.getini("doctest_optionflags")
    flags = sum(doctest.OPTIONFLAGS_BY_NAME[name] for name in names)
    report = []
    runner = doctest.DocTestRunner(verbose=False, optionflags=flags)
    for test in doctest.DocTestFinder().find(importlib.import_module(name)):
        runner.run(test, out=report.append)
    assert not runner.failures, "".join(report)


def public(face):
    """Yield the public names and objects of a face, and of modules that it names."""
    for name in face.__all__:
        what = getattr(face, name)
        if not inspect.ismodule(what):
            yield name, what
            continue
        for inner, object_ in vars(what).items():
            if getattr(object_, "__module__", "") == what.__name__ and inner[0] != "_":
                yield f"{name}.{inner}", object_


@pytest.mark.parametrize("room", WITH_EXAMPLES)
def test_every_public_class_and_function_has_an_example(room):
    face = importlib.import_module(f"nfml_jax.{room}")
    finder = doctest.DocTestFinder(exclude_empty=True)
    for name, what in public(face):
        if isinstance(what, type) or inspect.isfunction(what):
            found = finder.find(what, name, globs={})
            assert any(test.examples for test in found), f"{room}.{name} has none"
