"""Softmax and ArcFace over very many classes, value and gradients, on the CPU.

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
from turns import KINDS, parser, pin, ratios, require, save, serve, spread, take_turns

ROWS, SIZE, MARGIN, SCALE = 512, 512, 0.5, 64.0
TASK = "value and gradients"
JAX_SIDES = {"jax products": None, "streamed": "arcface", "dense": "arcface"}
JAX_SIDES |= {"streamed softmax": "softmax"}
TORCH_SIDES = ("torch products", "torch softmax", "torch ArcFace")


def given(classes: int):
    """Embeddings, class weights and labels, as at the start of a training."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((ROWS, SIZE), np.float32)
    weights = rng.standard_normal((classes, SIZE), np.float32) / math.sqrt(SIZE)
    return x, weights, rng.integers(0, classes, ROWS)


def jax_side(side: str, classes: int, chunk: int):
    """What the side runs, and the version of its library."""
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    import jax
    import jax.numpy as jnp

    from nfml_jax.heads import make_head

    x, weights, labels = jax.device_put(given(classes))
    version = f"jax {jax.__version__}"
    if side == "jax products":
        product = jax.jit(jnp.matmul)
        slopes = jax.block_until_ready(product(x, weights.T))

        def run():
            done = product(x, weights.T), product(slopes, weights), product(slopes.T, x)
            jax.block_until_ready(done)

        return run, version
    options = {"name": JAX_SIDES[side], "summation": side.split()[0]}
    if options["name"] == "arcface":
        options |= {"margin": MARGIN, "scale": SCALE}
    head = make_head(classes, SIZE, class_chunk=chunk, **options)
    params = {"weights": weights}
    if head.margin.bias:
        params["bias"] = jnp.zeros(classes)

    def loss(params, x):
        return head.apply({"params": params}, x, labels).loss.mean()

    program = jax.jit(jax.value_and_grad(loss, (0, 1))).lower(params, x).compile()
    return lambda: float(jax.block_until_ready(program(params, x))[0]), version


def torch_side(side: str, classes: int, threads: int):
    """The same by PyTorch."""
    import torch
    from torch.nn import functional

    torch.set_num_threads(threads)
    x, weights, labels = map(torch.as_tensor, given(classes))
    version = f"torch {torch.__version__}"
    if side == "torch products":
        slopes = x @ weights.T

        def run():
            _ = x @ weights.T, slopes @ weights, slopes.T @ x

        return run, version
    bias = torch.zeros(classes, requires_grad=True)
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
        return float(loss.detach())

    return run, version


def memory_of(run) -> float:
    """The most megabytes that a run adds to what the process has before (Linux)."""
    Path("/proc/self/clear_refs").write_text("5")  # forget the peak so far
    before = _status("VmRSS")
    run()
    return _status("VmHWM") - before


def _status(name: str) -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(x.split()[1]) / 1024 for x in lines if x.startswith(name))


def work(args: argparse.Namespace) -> None:
    """One side: does what it is told to."""
    pin(args.threads)
    if args.side in JAX_SIDES:
        run, version = jax_side(args.side, args.classes, args.chunk)
    else:
        run, version = torch_side(args.side, args.classes, args.threads)
    megabytes = memory_of(run)
    loss = run()
    serve({TASK: run}, {"version": version, "megabytes": megabytes, "loss": loss})


def report(result: dict) -> str:
    times, facts = result["seconds"][TASK], result["facts"]
    flops = 6 * ROWS * SIZE * result["classes"]
    products = min(
        (side for side in times if side.endswith("products")),
        key=lambda side: statistics.median(times[side]["cpu"]),
    )
    lines = [
        f"Seconds, {TASK}, {result['classes']:,} classes, {result['threads']} threads; "
        "median (least-most) of the repeats.",
        f"{'':18}{'wall':>19}{'CPU':>19}{'of the rate':>19}{'MB more':>9}{'loss':>9}",
    ]
    for side, seconds in times.items():
        shown = [spread(seconds[kind], 2) for kind in KINDS]
        share = spread(ratios(times, products, side), 2)
        loss = facts[side]["loss"]
        value = "" if loss is None else f"{loss:.4f}"
        memory = facts[side]["megabytes"]
        lines.append(
            f"{side:18}{shown[0]:>19}{shown[1]:>19}{share:>19}{memory:9.0f}{value:>9}"
        )
    rate = flops / statistics.median(times[products]["wall"]) / 1e9
    lines.append(f"The rate is that of {products}: {rate:.0f} GFLOP/s.")
    lines.append(", ".join(sorted({fact["version"] for fact in facts.values()})))
    return "\n".join(lines)


def main() -> None:
    arguments = parser(__doc__, repeats=7)
    arguments.add_argument("--classes", type=int, default=100_000)
    arguments.add_argument("--chunk", type=int, default=2048)
    args = arguments.parse_args()
    if args.side:
        return work(args)
    require(args.peer_python, "torch", "--peer-python")
    pythons = dict.fromkeys(JAX_SIDES, sys.executable)
    pythons |= dict.fromkeys(TORCH_SIDES, args.peer_python)
    seconds, facts = take_turns(pythons, [TASK], args.repeats, threads=args.threads)
    result = {"seconds": seconds, "facts": facts, "threads": args.threads}
    result["classes"] = args.classes
    print(report(result))
    save(result, args.json)


if __name__ == "__main__":
    main()
