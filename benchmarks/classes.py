"""Softmax and ArcFace over very many classes, value and gradients.

B = D = 512 and C = 100,000 in float32; every side runs in a process of its own, and
they take turns. "torch ArcFace" is written as insightface writes it::

    python benchmarks/classes.py --peer-python=/path/to/python/with/torch

"products" are the three products of matrices that the task cannot do without, by the
library that is the faster at them; their rate is what the others are measured by.
"""

import argparse
import math
import statistics
import sys
from pathlib import Path

import numpy as np
from turns import (
    KINDS,
    compiled,
    fastest,
    parser,
    pin,
    ratios,
    record,
    require,
    save,
    serve,
    spread,
    take_turns,
    torch_on,
)

ROWS, SIZE, MARGIN, SCALE = 512, 512, 0.5, 64.0
TASK = "value and gradients"
JAX_SIDES = {"jax products": None, "streamed": "arcface", "dense": "arcface"}
JAX_SIDES |= {"streamed softmax": "softmax"}
TORCH_SIDES = ("torch products", "torch softmax", "torch ArcFace")
# Who does the same task, this project first.
CASES = {
    "ArcFace streamed": ("streamed", "torch ArcFace"),
    "ArcFace dense": ("dense", "torch ArcFace"),
    "softmax streamed": ("streamed softmax", "torch softmax"),
    "products": ("jax products", "torch products"),
}


def given(classes: int):
    """Embeddings, class weights and labels, as at the start of a training."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((ROWS, SIZE), np.float32)
    weights = rng.standard_normal((classes, SIZE), np.float32) / math.sqrt(SIZE)
    return x, weights, rng.integers(0, classes, ROWS)


def jax_side(side: str, classes: int, chunk: int):
    """What the side runs, its library's version, and seconds to compile."""
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    import jax
    import jax.numpy as jnp

    from nfml_jax.heads import make_head

    x, weights, labels = jax.device_put(given(classes))
    version = f"jax {jax.__version__}"
    if side == "jax products":
        product = jax.jit(jnp.matmul)  # for several shapes, when they first come
        slopes = jax.block_until_ready(product(x, weights.T))

        def run():
            done = product(x, weights.T), product(slopes, weights), product(slopes.T, x)
            jax.block_until_ready(done)

        return run, version, None
    options = {"name": JAX_SIDES[side], "summation": side.split()[0]}
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


def torch_side(side: str, args: argparse.Namespace):
    """The same by PyTorch."""
    import torch
    from torch.nn import functional

    wait = torch_on(args)
    x, weights, labels = map(torch.as_tensor, given(args.classes))
    version = f"torch {torch.__version__}"
    if side == "torch products":
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

    logits = softmax if side == "torch softmax" else arcface

    def run():
        x.grad = weights.grad = bias.grad = None
        loss = functional.cross_entropy(logits(), labels)
        loss.backward()
        wait()
        return float(loss.detach())

    return run, version, None


def work(args: argparse.Namespace) -> None:
    """One side: does what it is told to."""
    pin(args.threads)
    if args.side in JAX_SIDES:
        run, version, seconds = jax_side(args.side, args.classes, args.chunk)
    else:
        run, version, seconds = torch_side(args.side, args)
    serve({TASK: run}, version, args, {TASK: seconds})


def report(sides: dict, args: argparse.Namespace) -> str:
    flops = 6 * ROWS * SIZE * args.classes
    products = fastest([side for side in sides if side.endswith("products")], sides)
    lines = [
        f"Seconds, {TASK}, {args.classes:,} classes, {args.threads} threads; "
        "median (least-most) of the repeats.",
        f"{'':18}{'wall':>19}{'CPU':>19}{'of the rate':>19}{'MiB more':>9}{'loss':>9}",
    ]
    for side, facts in sides.items():
        shown = [spread(facts[kind], 2) for kind in KINDS]
        share = spread(ratios(sides, products, side), 2)
        value = "" if facts["value"] is None else f"{facts['value']:.4f}"
        memory = f"{(facts['memory'] or math.nan) / 2**20:.0f}"
        lines.append(
            f"{side:18}{shown[0]:>19}{shown[1]:>19}{share:>19}{memory:>9}{value:>9}"
        )
    rate = flops / statistics.median(sides[products]["wall"]) / 1e9
    lines.append(f"The rate is that of {products}: {rate:.0f} GFLOP/s.")
    lines.append(", ".join(sorted({facts["version"] for facts in sides.values()})))
    return "\n".join(lines)


def main() -> None:
    arguments = parser(__doc__, [*JAX_SIDES, *TORCH_SIDES], repeats=7)
    arguments.add_argument("--classes", type=int, default=100_000)
    arguments.add_argument("--chunk", type=int, default=2048)
    args = arguments.parse_args()
    if args.side:
        return work(args)
    require(args.peer_python, "torch")
    pythons = dict.fromkeys(JAX_SIDES, sys.executable)
    pythons |= dict.fromkeys(TORCH_SIDES, args.peer_python)
    sides = take_turns(pythons, [TASK], args)[TASK]
    print(report(sides, args))
    records = [
        record(
            f"classes {case}",
            f"{ROWS} rows",
            pair[0],
            {side: sides[side] for side in pair},
            args,
            classes=args.classes,
        )
        for case, pair in CASES.items()
    ]
    save(records, args.json)


if __name__ == "__main__":
    main()
