"""Softmax and ArcFace over very many classes, value and gradients.

B = D = 512 and C = 100,000 in float32; each implementation runs in its own process,
and they are timed alternately. "torch ArcFace" is written as in insightface::

    python benchmarks/classes.py --peer-python=/path/to/python/with/torch

"products" are the three matrix products that the task needs at least, in the faster
library; the other rates are reported relative to theirs.
"""

import argparse
import math
import statistics
import sys
from pathlib import Path

import numpy as np
from harness import (
    KINDS,
    compiled,
    fastest,
    parser,
    pin,
    ratios,
    record,
    require,
    run_alternately,
    save,
    serve,
    spread,
    torch_on,
)

ROWS, SIZE, MARGIN, SCALE = 512, 512, 0.5, 64.0
TASK = "value and gradients"
IN_JAX = {"jax products": None, "streamed": "arcface", "dense": "arcface"}
IN_JAX |= {"streamed softmax": "softmax"}
IN_TORCH = ("torch products", "torch softmax", "torch ArcFace")
# Pairs of implementations of the same task, this project's first.
CASES = {
    "ArcFace streamed": ("streamed", "torch ArcFace"),
    "ArcFace dense": ("dense", "torch ArcFace"),
    "softmax streamed": ("streamed softmax", "torch softmax"),
    "products": ("jax products", "torch products"),
}


def given(classes: int):
    """Return embeddings, class weights and labels as at the start of training."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((ROWS, SIZE), np.float32)
    weights = rng.standard_normal((classes, SIZE), np.float32) / math.sqrt(SIZE)
    return x, weights, rng.integers(0, classes, ROWS)


def jax_task(name: str, classes: int, chunk: int):
    """Return the task in JAX, the library's version, and the seconds to compile."""
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    import jax
    import jax.numpy as jnp

    from nfml_jax.heads import make_head

    x, weights, labels = jax.device_put(given(classes))
    version = f"jax {jax.__version__}"
    if name == "jax products":
        product = jax.jit(jnp.matmul)  # for several shapes, when they first come
        slopes = jax.block_until_ready(product(x, weights.T))

        def run():
            done = product(x, weights.T), product(slopes, weights), product(slopes.T, x)
            jax.block_until_ready(done)

        return run, version, None
    options = {
        "name": IN_JAX[name],
        "summation": name.split()[0],
    }
    if options["name"] == "arcface":
        options |= {"margin": MARGIN, "scale": SCALE}
    head = make_head(classes, SIZE, class_chunk=chunk, **options)
    params = {"weights": weights}
    if head.margin.bias:
        params["bias"] = jnp.zeros(classes)

    def loss(params, x):
        return head.apply({"params": params}, x, labels).loss.mean()

    program = jax.jit(jax.value_and_grad(loss, (0, 1)))
    program, seconds = compiled(program, params, x)
    run = lambda: float(jax.block_until_ready(program(params, x))[0])  # noqa: E731
    return run, version, seconds


def torch_task(name: str, args: argparse.Namespace):
    """Return the task in PyTorch, the library's version, and None."""
    import torch
    from torch.nn import functional

    wait = torch_on(args)
    x, weights, labels = map(torch.as_tensor, given(args.classes))
    version = f"torch {torch.__version__}"
    if name == "torch products":
        slopes = x @ weights.T

        def run():
            _ = x @ weights.T, slopes @ weights, slopes.T @ x
            wait()

        return run, version, None
    bias = torch.zeros(args.classes, requires_grad=True)
    x.requires_grad_()
    weights.requires_grad_()

    def softmax():
        return functional.linear(x, weights, bias)

    def arcface():
        unit = functional.normalize(x), functional.normalize(weights)
        logits = functional.linear(*unit).clamp(-1, 1)
        rows = torch.arange(ROWS)
        target = logits[rows, labels]
        shifted = target * math.cos(MARGIN)
        shifted = shifted - torch.sqrt(1 - target**2) * math.sin(MARGIN)
        beyond = target - math.sin(math.pi - MARGIN) * MARGIN
        far = target <= math.cos(math.pi - MARGIN)
        logits = logits.clone()
        logits[rows, labels] = torch.where(far, beyond, shifted)
        return logits * SCALE

    logits = softmax if name == "torch softmax" else arcface

    def run():
        x.grad = weights.grad = bias.grad = None
        loss = functional.cross_entropy(logits(), labels)
        loss.backward()
        wait()
        return float(loss.detach())

    return run, version, None


def work(args: argparse.Namespace) -> None:
    """Serve one implementation."""
    pin(args.threads)
    if args.implementation in IN_JAX:
        run, version, seconds = jax_task(args.implementation, args.classes, args.chunk)
    else:
        run, version, seconds = torch_task(args.implementation, args)
    serve({TASK: run}, version, args, {TASK: seconds})


def report(timings: dict, args: argparse.Namespace) -> str:
    flops = 6 * ROWS * SIZE * args.classes
    products = fastest(
        [name for name in timings if name.endswith("products")],
        timings,
    )
    lines = [
        f"Seconds, {TASK}, {args.classes:,} classes, {args.threads} threads; "
        "median (least-most) of the repeats.",
        f"{'':18}{'wall':>19}{'CPU':>19}{'of the rate':>19}{'MiB more':>9}{'loss':>9}",
    ]
    for name, facts in timings.items():
        shown = [spread(facts[kind], 2) for kind in KINDS]
        share = spread(ratios(timings, products, name), 2)
        value = "" if facts["value"] is None else f"{facts['value']:.4f}"
        memory = f"{(facts['memory'] or math.nan) / 2**20:.0f}"
        lines.append(
            f"{name:18}{shown[0]:>19}{shown[1]:>19}{share:>19}{memory:>9}{value:>9}"
        )
    rate = flops / statistics.median(timings[products]["wall"]) / 1e9
    lines.append(f"The rate is that of {products}: {rate:.0f} GFLOP/s.")
    lines.append(", ".join(sorted({facts["version"] for facts in timings.values()})))
    return "\n".join(lines)


def main() -> None:
    arguments = parser(__doc__, [*IN_JAX, *IN_TORCH], repeats=7)
    arguments.add_argument("--classes", type=int, default=100_000)
    arguments.add_argument("--chunk", type=int, default=2048)
    args = arguments.parse_args()
    if args.implementation:
        return work(args)
    require(args.peer_python, "torch")
    pythons = dict.fromkeys(IN_JAX, sys.executable)
    pythons |= dict.fromkeys(IN_TORCH, args.peer_python)
    timings = run_alternately(pythons, [TASK], args)[TASK]
    print(report(timings, args))
    records = [
        record(
            f"classes {case}",
            f"{ROWS} rows",
            pair[0],
            {name: timings[name] for name in pair},
            args,
            classes=args.classes,
        )
        for case, pair in CASES.items()
    ]
    save(records, args.json)


if __name__ == "__main__":
    main()
