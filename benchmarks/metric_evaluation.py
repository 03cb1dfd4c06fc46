"""Evaluation of embeddings beside pytorch-metric-learning and scikit-learn.

pytorch-metric-learning searches and clusters by faiss. Each case runs in a process of
its own, the sides taking turns; every process makes the same data, warms up on a part
of it, and then does the case once::

    python benchmarks/metric_evaluation.py --peer-python=/path/to/python/with/peers

`retrieval-C`: Recall@1 and MAP@R of 20,000 embeddings of 128 dimensions in C classes,
each among all others. `folds`: LFW's ten folds of 6,000 pairs, from their scores.
`clusters`: k-means with as many clusters as the 100 classes of 20,000 embeddings, NMI
and AMI. Memory is the most that a process held less what it held before, with its
libraries loaded and the data made, and so includes what warming up leaves. Linux only.
"""

import argparse
import json
import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import numpy as np
from turns import (
    KINDS,
    clock,
    environment,
    memory,
    parser,
    pin,
    ratios,
    record,
    require,
    save,
    since,
    spread,
)

ROOT = Path(__file__).resolve().parents[1]
COUNT, DIMENSIONS, PAIRS = 20_000, 128, 6_000
CASES = "retrieval-1000", "retrieval-10", "folds", "clusters"
WARM = 500  # queries, or rows


def embeddings(classes: int):
    """Overlapping classes on the unit sphere, the same for every side."""
    rng = np.random.default_rng(0)
    labels = rng.permutation(np.arange(COUNT) % classes)
    x = rng.normal(size=(classes, DIMENSIONS))[labels]
    x = x + 3 * rng.normal(size=(COUNT, DIMENSIONS))
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    return x.astype(np.float32), labels


def pairs():
    """Scores and kinds of pairs in LFW's order: in each fold the genuine ones first."""
    same = np.arange(PAIRS) % (PAIRS // 10) < PAIRS // 20
    return np.random.default_rng(0).normal(0.5 * same, 0.25), same


class NfmlJax:
    """This project."""

    packages = ("jax", "numpy")

    def __init__(self):
        sys.path.insert(0, str(ROOT))
        import jax

        from nfml_jax.evaluation import clustering, folds, retrieval

        jax.devices()
        self._modules = clustering, folds, retrieval
        self.compile = [0.0, 0.0]  # seconds to trace and to compile
        jax.monitoring.register_event_duration_secs_listener(self._compiles)

    def _compiles(self, event, seconds, **_):
        if event.startswith("/jax/core/compile/"):
            self.compile["backend" in event] += seconds

    def retrieval(self, x, labels, warm):
        _, _, retrieval = self._modules
        names = "recall@1", "map@r"
        if warm:  # some queries among all rows: the shapes are those of the case
            return retrieval.metrics(x[:WARM], labels[:WARM], x, labels, names=names)
        found = retrieval.metrics(x, labels, names=names)
        return list(found.values())

    def folds(self, scores, same, warm):
        found = self._modules[1].cross_validate(scores, same)
        return [found.accuracy, found.accuracy_error]

    def clusters(self, x, labels, warm):
        found = self._modules[0].metrics(x, labels)
        return [found["nmi"], found["ami"]]


class Pml:
    """pytorch-metric-learning's calculator, which searches and clusters by faiss."""

    packages = ("pytorch-metric-learning", "faiss-cpu", "torch")
    modules = "faiss, pytorch_metric_learning"

    def __init__(self):
        import faiss
        import torch
        from pytorch_metric_learning.utils.accuracy_calculator import AccuracyCalculator

        torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
        faiss.omp_set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
        self._torch, self._make = torch, AccuracyCalculator

    def _calculate(self, x, labels, names, warm, **options):
        part = slice(WARM if warm else None)
        x, labels = map(self._torch.from_numpy, (x[part], labels[part]))
        device = self._torch.device("cpu")
        found = self._make(include=names, device=device, **options).get_accuracy(
            x, labels
        )
        return [found[name] for name in names]

    def retrieval(self, x, labels, warm):
        names = "precision_at_1", "mean_average_precision_at_r"
        return self._calculate(x, labels, names, warm, k="max_bin_count")

    def clusters(self, x, labels, warm):
        return self._calculate(x, labels, ("NMI", "AMI"), warm)


class ScikitLearn:
    """scikit-learn, and numpy where it has no function for the whole of a case."""

    packages = ("scikit-learn", "numpy")
    modules = "sklearn"

    def __init__(self):
        import sklearn.cluster
        import sklearn.metrics
        import sklearn.neighbors

        self._sklearn = sklearn

    def retrieval(self, x, labels, warm):
        part = slice(WARM if warm else None)
        x, labels = x[part], labels[part]
        relevant = np.bincount(labels)[labels] - 1
        search = self._sklearn.neighbors.NearestNeighbors(
            n_neighbors=relevant.max(), metric="cosine", algorithm="brute", n_jobs=-1
        )
        nearest = search.fit(x).kneighbors(return_distance=False)
        right = labels[nearest] == labels[:, None]
        places = np.arange(1, right.shape[1] + 1)
        within = right & (places <= relevant[:, None])
        precisions = np.cumsum(right, axis=1) / places
        terms = (precisions * within).sum(axis=1) / np.maximum(relevant, 1)
        return [right[:, 0].mean(), terms.mean()]

    def folds(self, scores, same, warm):
        fold, accuracies = np.arange(PAIRS) // (PAIRS // 10), []
        for f in range(10):
            here = fold == f
            fpr, tpr, thresholds = self._sklearn.metrics.roc_curve(
                same[~here], scores[~here], drop_intermediate=False
            )
            best = thresholds[np.argmax(tpr - fpr)]
            accuracies.append(np.mean((scores[here] >= best) == same[here]))
        return [np.mean(accuracies), np.std(accuracies, ddof=1) / np.sqrt(10)]

    def clusters(self, x, labels, warm):
        part = slice(WARM if warm else None)
        x, labels = x[part], labels[part]
        means = self._sklearn.cluster.KMeans(
            len(np.unique(labels)), n_init=1, random_state=0
        )
        found, metrics = means.fit_predict(x), self._sklearn.metrics
        return [
            metrics.normalized_mutual_info_score(labels, found),
            metrics.adjusted_mutual_info_score(labels, found),
        ]


SIDES = {"nfml_jax": NfmlJax, "pml": Pml, "scikit-learn": ScikitLearn}


def work(args) -> None:
    """One side, one case, once."""
    pin(args.threads)
    side = SIDES[args.side]()
    name, _, classes = args.case.partition("-")
    data = pairs() if name == "folds" else embeddings(int(classes or 100))
    before = memory("VmRSS")
    task = getattr(side, name)
    task(*data, warm=True)
    start = clock()
    result = task(*data, warm=False)
    wall, cpu = since(start)
    versions = (f"{package} {version(package)}" for package in side.packages)
    told = {
        "version": ", ".join(versions),
        "wall": wall,
        "cpu": cpu,
        "compile": getattr(side, "compile", None),
        "memory": memory("VmHWM") - before,
        "value": [float(value) for value in result],
    }
    print(json.dumps(told))


def measure(case: str, args) -> dict:
    """The record of a case, each turn of each side in a process of its own."""
    task = case.partition("-")[0]
    sides = [side for side in args.sides.split(",") if hasattr(SIDES[side], task)]
    turns = {side: [] for side in sides}
    for _ in range(args.repeats):
        for side in sides:
            python = sys.executable if side == "nfml_jax" else args.peer_python
            command = [python, *sys.argv, "--side", side, "--case", case]
            done = subprocess.run(
                command, env=environment(args), stdout=subprocess.PIPE
            )
            if done.returncode:
                sys.exit(f"{side} did not finish {case}; its message is above.")
            turns[side].append(json.loads(done.stdout.splitlines()[-1]))
    merged = {}
    for side, told in turns.items():
        times = {kind: [turn[kind] for turn in told] for kind in KINDS}
        most = max(turn["memory"] for turn in told)
        merged[side] = told[0] | times | {"memory": most}
    return record(f"metric_evaluation {case}", "the case", "nfml_jax", merged, args)


def report(case: str, result: dict) -> str:
    digits, unit = (1, 1e3) if case == "folds" else (2, 1)
    lines = [
        f"\n{case}, {'ms' if unit > 1 else 's'} and MiB",
        f"{'':14}{'wall':>22}{'CPU':>22}{'memory':>8}  result",
    ]
    sides = result["sides"]
    for side, facts in sides.items():
        wall, cpu = (spread(facts[kind], digits, unit) for kind in KINDS)
        values = ", ".join(f"{value:.4f}" for value in facts["value"])
        lines.append(
            f"{side:14}{wall:>22}{cpu:>22}{facts['memory'] / 2**20:8.0f}  {values}  "
            f"({facts['version']})"
        )
    first, *peers = sides
    for peer in peers:
        wall, cpu = (spread(ratios(sides, first, peer, kind), 2) for kind in KINDS)
        lines.append(f"{'of ' + peer:14}{wall:>22}{cpu:>22}")
    return "\n".join(lines)


def main() -> None:
    arguments = parser(__doc__, SIDES, repeats=3)
    arguments.add_argument("--sides", default=",".join(SIDES))
    arguments.add_argument("--cases", default=",".join(CASES))
    arguments.add_argument("--case", help=argparse.SUPPRESS)
    args = arguments.parse_args()
    if args.side:
        return work(args)
    for side in args.sides.split(","):
        if side != "nfml_jax":
            require(args.peer_python, SIDES[side].modules)
    print(f"{args.threads} threads; median (least-most) of the turns; most memory.")
    records = []
    for case in args.cases.split(","):
        records.append(measure(case, args))
        print(report(case, records[-1]), flush=True)
    save(records, args.json)


if __name__ == "__main__":
    main()
