"""Pair and triplet losses with gradients beside pytorch-metric-learning, on the CPU.

Each case is a loss's value and its gradient with respect to a batch of embeddings of
128 dimensions; every side of it is a process of its own, and they take turns::

    python benchmarks/metric_losses.py --peer-python=/path/to/python/with/the/peer

"band" mines the same triplets on both sides, all that are semi-hard; "semi_hard" is one
negative for each positive here, as FaceNet has it, which the peer's miner has not. The
peer needs over 15 GB for NT-Xent at this size, so this project is alone in it.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
from turns import (
    KINDS,
    compiled,
    memory,
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

SIDES = ("nfml_jax", "pytorch-metric-learning")
SIZE, MARGIN, TEMPERATURE = 128, 0.2, 0.1
TASK = "value and gradient"
# Rows of a batch and its classes; the loss here, and its options.
BAND = {"name": "triplet", "miner": "semi_hard_band", "margin": MARGIN}
SEMI_HARD = BAND | {"miner": "semi_hard"}
MULTI = {"name": "multi_similarity", "miner": "all", "base": 0.5}
CASES = {
    "band-128": (512, 128, BAND),
    "band-10": (512, 10, BAND),
    "semi_hard-128": (512, 128, SEMI_HARD),
    "semi_hard-10": (512, 10, SEMI_HARD),
    "multi_similarity": (1024, 256, MULTI),
    "sup_con": (1024, 256, {"name": "sup_con", "temperature": TEMPERATURE}),
    "nt_xent": (1024, 512, {"name": "nt_xent", "temperature": TEMPERATURE}),
}
ALONE = ("nt_xent",)


def batch(rows: int, classes: int):
    """Random embeddings, a little nearer to each other within a class, and labels."""
    rng = np.random.default_rng(0)
    labels = np.arange(rows) % classes
    noise = rng.normal(size=(rows, SIZE))
    embeddings = noise + 0.7 * rng.normal(size=(classes, SIZE))[labels]
    return embeddings.astype(np.float32), labels


def jax_side(rows: int, classes: int, options: dict, args: argparse.Namespace):
    """The case, and what there is to tell of it."""
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    import jax

    from nfml_jax.losses import make_loss

    objective = make_loss(classes, SIZE, **options)

    def loss(x, labels):
        return objective.apply({}, x, labels).loss

    given, before = jax.device_put(batch(rows, classes)), memory("VmHWM")
    program, seconds = compiled(jax.jit(jax.value_and_grad(loss)), *given)
    facts = {
        "version": f"jax {jax.__version__}",
        "compile": {TASK: seconds},
        "compile_memory": memory("VmHWM") - before,
        "program_memory": program.memory_analysis().temp_size_in_bytes,
    }
    return lambda: float(jax.block_until_ready(program(*given))[0]), facts


def peer_side(rows: int, classes: int, options: dict, args: argparse.Namespace):
    """The same, by the library's losses and miners of the same definitions."""
    import pytorch_metric_learning
    import torch
    from pytorch_metric_learning import losses, miners

    torch_on(args)
    embeddings, labels = map(torch.as_tensor, batch(rows, classes))
    embeddings.requires_grad_()
    if options["name"] == "multi_similarity":
        loss, mine = losses.MultiSimilarityLoss(2.0, 50.0, 0.5), None
    elif options["name"] == "sup_con":
        loss, mine = losses.SupConLoss(TEMPERATURE), None
    else:
        loss = losses.TripletMarginLoss(MARGIN)
        mine = miners.TripletMarginMiner(MARGIN, "semihard")

    def run():
        embeddings.grad = None
        value = loss(embeddings, labels, mine and mine(embeddings, labels))
        value.backward()
        return float(value.detach())

    version = f"{SIDES[1]} {pytorch_metric_learning.__version__}"
    return run, {"version": f"{version}, torch {torch.__version__}"}


def work(args: argparse.Namespace) -> None:
    """One side of a case: does what it is told to."""
    pin(args.threads)
    side = jax_side if args.side == SIDES[0] else peer_side
    run, facts = side(*CASES[args.case], args)
    serve({TASK: run}, args=args, **facts)


def measure(case: str, args: argparse.Namespace) -> dict:
    """The record of a case, the sides taking turns."""
    pythons = {SIDES[0]: sys.executable}
    if case not in ALONE:
        pythons[SIDES[1]] = args.peer_python
    sides = take_turns(pythons, [TASK], args, ["--case", case])[TASK]
    return record(f"metric_losses {case}", TASK, SIDES[0], sides, args)


def report(case: str, result: dict) -> str:
    rows, classes, _ = CASES[case]
    lines, sides = [f"{case}, {rows} rows, {classes} classes"], result["sides"]
    for side, facts in sides.items():
        wall, cpu = (spread(facts[kind], 1, 1e3) for kind in KINDS)
        more = f"{(facts['memory'] or 0) / 2**20:.0f}"
        lines.append(
            f"  {side:24}{wall:>22}{cpu:>22}{more:>6}{facts['value']:9.4f}"
            f"  {facts['version']}"
        )
    if result["peer"]:
        wall, cpu = (spread(ratios(sides, *SIDES, kind), 2) for kind in KINDS)
        lines.append(f"  {'ratio':24}{wall:>22}{cpu:>22}")
    ours = sides[SIDES[0]]
    program, making = (
        ours[f"{what}_memory"] / 2**20 for what in ("program", "compile")
    )
    lines.append(
        f"  {program:.0f} MiB of the program, {making:.0f} MiB and "
        f"{sum(ours['compile']):.1f} s to compile it"
    )
    return "\n".join(lines)


def main() -> None:
    arguments = parser(__doc__, SIDES, repeats=7)
    arguments.add_argument("--cases", default=",".join(CASES))
    arguments.add_argument("--case", help=argparse.SUPPRESS)
    args = arguments.parse_args()
    if args.side:
        return work(args)
    require(args.peer_python, "pytorch_metric_learning")
    print(
        f"Milliseconds, {TASK}, {args.threads} threads; median (least-most) of the "
        "repeats; ratios turn by turn; MiB that the first run adds; the loss.\n"
        f"{'':26}{'wall':>22}{'CPU':>22}{'MiB':>6}{'loss':>9}"
    )
    records = []
    for case in args.cases.split(","):
        records.append(measure(case, args))
        print(report(case, records[-1]), flush=True)
    save(records, args.json)


if __name__ == "__main__":
    main()
