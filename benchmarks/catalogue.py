"""The project's benchmarks: the one table that `python -m benchmarks` runs over."""

from collections.abc import Iterable
from dataclasses import dataclass

from nfml_jax.ops.names import look_up


@dataclass(frozen=True)
class Benchmark:
    """A script that takes --repeats and --json, and writes a list of `harness.record`s.

    `peers` names their environment (a file in `benchmarks/peers/`), `modules` the
    modules that the script imports there. Each of the `cases` is a run of the script,
    with --cases; a script without cases runs once. `cuda` are arguments for a GPU, None
    for CPUs only.
    """

    script: str
    about: str
    arguments: str = ""
    peers: str | None = None
    modules: str = ""
    cases: tuple[str, ...] = ()
    cuda: str | None = None


FLOWS = ("6x5x128", "6x10x256", "43x5x128", "43x10x256")
LOSSES = ("band-128", "band-10", "semi_hard-128", "semi_hard-10")
LOSSES += ("multi_similarity", "sup_con", "nt_xent")
SEARCHES = ("retrieval-1000", "retrieval-10", "folds", "clusters")

TORCH = {"peers": "metric", "modules": "torch"}
PML = {"peers": "metric", "modules": "faiss, pytorch_metric_learning, sklearn"}
ZOO = {"peers": "flows", "modules": "flowjax, nflows, zuko"}
IMAGES = {"peers": "images", "modules": "nflows, normflows, torch"}
# flowjax comes with a jax for CPUs.
NO_FLOWJAX = "--implementations=nfml_jax,distrax,zuko,nflows"

BENCHMARKS = {
    "encoder": Benchmark("encoder.py", "steps of a small CNN", **TORCH, cuda=""),
    "flows": Benchmark(
        "flows.py", "neural spline flows", **ZOO, cases=FLOWS, cuda=NO_FLOWJAX
    ),
    "autoregressive": Benchmark("autoregressive.py", "sampling a MAF", **ZOO),
    "images": Benchmark(
        "images.py", "Glow of images", **IMAGES, cases=("8x64",), cuda=""
    ),
    "loop": Benchmark("loop.py", "the training loop beside bare steps", "--steps=128"),
    "metric_losses": Benchmark("metric_losses.py", "pair losses", **PML, cases=LOSSES),
    "metric_evaluation": Benchmark(
        "metric_evaluation.py", "retrieval, folds, clusters", **PML, cases=SEARCHES
    ),
    "classes": Benchmark("classes.py", "100,000 classes", **TORCH, cuda=""),
}


def chosen(names: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Return the cases to run of each benchmark, by default all.

    A name is a benchmark's, or with one of its cases, as in `flows:6x5x128`.
    """
    found = {}
    for name in names or BENCHMARKS:
        name, _, case = name.partition(":")
        cases = {known: known for known in look_up(BENCHMARKS, name, "benchmark").cases}
        if case:
            cases = {look_up(cases, case, f"case of {name}"): case}
        found[name] = found.get(name, {}) | cases
    return {name: tuple(cases) for name, cases in found.items()}


def listing() -> str:
    """Return one or two lines for each benchmark."""
    lines = []
    for name, benchmark in BENCHMARKS.items():
        peers = benchmark.peers or "none"
        where = "CPU only" if benchmark.cuda is None else "CPU, GPU"
        lines.append(f"{name:19}{benchmark.about:38}{peers:8}{where}")
        if benchmark.cases:
            lines.append(f"{'':19}cases: {', '.join(benchmark.cases)}")
    return "\n".join([f"{'benchmark':19}{'of':38}{'peers':8}runs on", *lines])
