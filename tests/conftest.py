"""Options, and the small data sets that tests run on."""

import functools
import gc
import gzip
import os
import shutil
import struct
import subprocess
import sys
import tempfile

import numpy as np
import pytest


def pytest_addoption(parser):
    parser.addoption("--slow", action="store_true", help="run the slow tests too")


# XLA's older emitters compile the tests' programs in little more than half the time,
# and a program in one piece in less than in pieces for many cores.
QUICK_TO_COMPILE = (
    "--xla_cpu_use_fusion_emitters=false --xla_cpu_parallel_codegen_split_count=1"
)


def pytest_configure(config):
    """Compile each program once for the whole test run, in whichever process."""
    if "PYTEST_XDIST_WORKER" in os.environ:
        return
    # Most tests are compilation: the optimizer would cost more time than it saves.
    os.environ.setdefault("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")
    if "XLA_FLAGS" not in os.environ and knows(QUICK_TO_COMPILE):
        os.environ["XLA_FLAGS"] = QUICK_TO_COMPILE
    if "JAX_COMPILATION_CACHE_DIR" in os.environ:
        return
    folder = tempfile.mkdtemp(prefix="nfml_jax_tests_")
    config.add_cleanup(lambda: shutil.rmtree(folder, ignore_errors=True))
    os.environ["JAX_COMPILATION_CACHE_DIR"] = folder
    os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0.05"
    os.environ["JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES"] = "-1"


def knows(flags):
    """Return True if this XLA has the flags; one that it lacks ends the process."""
    command = [sys.executable, "-c", "import jax; jax.devices()"]
    return not subprocess.run(
        command, env=os.environ | {"XLA_FLAGS": flags}, capture_output=True
    ).returncode


def pytest_collection_modifyitems(config, items):
    if config.getoption("--slow"):
        return
    skip = pytest.mark.skip(reason="slow; run with --slow")
    for item in items:
        if "slow" in item.keywords:
            item.add_marker(skip)


def pytest_collection_finish(session):
    """Leave what is loaded out of every search for garbage, and search less often."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 50, 50)


@pytest.fixture(scope="module")
def undrawn():
    """Figures stay white: how they look is tests/plots' business."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(FigureCanvasAgg, "draw", FigureCanvasAgg.get_renderer)
        yield


@pytest.fixture
def programs(monkeypatch):
    """Modules compute by one program each: operation by operation takes twice as long.

    Examples show the same values.
    """
    import flax.linen as nn

    for name in "init", "apply":
        monkeypatch.setattr(nn.Module, name, compiled(getattr(nn.Module, name)))


def compiled(method):
    """Return `Module.init` or `Module.apply`, compiled if its arguments are arrays."""
    import jax

    @functools.wraps(method)
    def call(self, *args, **options):
        if any(isinstance(leaf, jax.core.Tracer) for leaf in jax.tree.leaves(args)):
            return method(self, *args, **options)
        try:
            return jax.jit(functools.partial(method, self, **options))(*args)
        except TypeError:
            return method(self, *args, **options)

    return call


@pytest.fixture(scope="session")
def manual_dir(tmp_path_factory):
    """A folder of four IDX files: ten classes of made-up images, easily told."""
    folder = tmp_path_factory.mktemp("manual")
    rng = np.random.default_rng(0)
    patterns = rng.integers(0, 200, (10, 28, 28))
    for part, count in (("train", 400), ("t10k", 200)):
        labels = np.arange(count) % 10
        images = patterns[labels] + rng.integers(0, 55, (count, 28, 28))
        write_idx(folder / f"{part}-images-idx3-ubyte.gz", images)
        write_idx(folder / f"{part}-labels-idx1-ubyte.gz", labels)
    return folder


def write_idx(path, array):
    header = struct.pack(">BBBB", 0, 0, 8, array.ndim)
    shape = struct.pack(f">{array.ndim}I", *array.shape)
    with gzip.open(path, "wb", compresslevel=1) as file:
        file.write(header + shape + array.astype(np.uint8).tobytes())
