"""Options and settings shared by all tests."""

import os

import pytest

# One compilation cache for the test run would be welcome, but XLA's CPU code isn't
# portable between machines; one thread per worker keeps two workers off each other.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


def pytest_addoption(parser):
    parser.addoption("--slow", action="store_true", help="run the slow tests too")


def pytest_collection_modifyitems(config, items):
    if config.getoption("--slow"):
        return
    skip = pytest.mark.skip(reason="slow; run with --slow")
    for item in items:
        if "slow" in item.keywords:
            item.add_marker(skip)
