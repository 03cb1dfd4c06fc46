"""The examples in docstrings, run as written."""

import doctest
import importlib
import pkgutil

import pytest

# The rooms whose docstrings are read: packages of `nfml_jax`.
ROOMS = ("bijectors", "evaluation", "flows", "heads", "losses", "variational")


def modules():
    """Return the names of all modules of the rooms."""
    for room in ROOMS:
        package = importlib.import_module(f"nfml_jax.{room}")
        yield package.__name__
        found = pkgutil.walk_packages(package.__path__, f"{package.__name__}.")
        yield from (module.name for module in found if "__main__" not in module.name)


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
