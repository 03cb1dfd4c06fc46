"""Pair and triplet losses with gradients beside pytorch-metric-learning, on the CPU.

Each case is a loss's value and its gradient with respect to a batch of embeddings of
128 dimensions; the implementations run in their own processes, timed alternately::

    python benchmarks/metric_losses.py --peer-python=/path/to/python/with/the/peer

"band" mines the same triplets in both, all that are semi-hard; "semi_hard" is one
negative for each positive here, as in FaceNet, which the peer's miner lacks. The peer
needs over 15 GB for NT-Xent at this size, so only this project runs it.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
from harness import (
    KINDS,
    compiled,
    memory,
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

IMPLEMENTATIONS = ("nfml_jax", "pytorch-metric-learning")
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
    """Return random embeddings, a little closer within a class, and labels."""
    rng = np.random.default_rng(0)
    labels = np.arange(rows) % classes
    noise = rng.normal(size=(rows, SIZE))
    embeddings = noise + 0.7 * rng.normal(size=(classes, SIZE))[labels]
    return embeddings.astype(np.float32), labels


def jax_task(rows: int, classes: int, options: dict, args: argparse.Namespace):
    """Return the case's task in this project, and its facts."""
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


def peer_task(rows: int, classes: int, options: dict, args: argparse.Namespace):
    """Return the task by the peer's equal losses and miners, and its facts."""
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

    version = f"{IMPLEMENTATIONS[1]} {pytorch_metric_learning.__version__}"
    return run, {"version": f"{version}, torch {torch.__version__}"}


def work(args: argparse.Namespace) -> None:
    """Serve one implementation of a case."""
    pin(args.threads)
    make = jax_task if args.implementation == IMPLEMENTATIONS[0] else peer_task
    run, facts = make(*CASES[args.case], args)
    serve({TASK: run}, args=args, **facts)


def measure(case: str, args: argparse.Namespace) -> dict:
    """Return the record of a case."""
    pythons = {IMPLEMENTATIONS[0]: sys.executable}
    if case not in ALONE:
        pythons[IMPLEMENTATIONS[1]] = args.peer_python
    timings = run_alternately(pythons, [TASK], args, ["--case", case])[TASK]
    return record(f"metric_losses {case}", TASK, IMPLEMENTATIONS[0], timings, args)


def report(case: str, result: dict) -> str:
    rows, classes, _ = CASES[case]
    lines, timings = (
        [f"{case}, {rows} rows, {classes} classes"],
        result["implementations"],
    )
    for name, facts in timings.items():
        wall, cpu = (spread(facts[kind], 1, 1e3) for kind in KINDS)
        more = f"{(facts['memory'] or 0) / 2**20:.0f}"
        lines.append(
            f"  {name:24}{wall:>22}{cpu:>22}{more:>6}{facts['value']:9.4f}"
            f"  {facts['version']}"
        )
    if result["peer"]:
        wall, cpu = (
            spread(ratios(timings, *IMPLEMENTATIONS, kind), 2) for kind in KINDS
        )
        lines.append(f"  {'ratio':24}{wall:>22}{cpu:>22}")
    ours = timings[IMPLEMENTATIONS[0]]
    program, making = (
        ours[f"{what}_memory"] / 2**20 for what in ("program", "compile")
    )
    lines.append(
        f"  {program:.0f} MiB of the program, {making:.0f} MiB and "
        f"{sum(ours['compile']):.1f} s to compile it"
    )
    return "\n".join(lines)


def main() -> None:
    arguments = parser(__doc__, IMPLEMENTATIONS, repeats=7)
    arguments.add_argument("--cases", default=",".join(CASES))
    arguments.add_argument("--case", help=argparse.SUPPRESS)
    args = arguments.parse_args()
    if args.implementation:
        return work(args)
    require(args.peer_python, "pytorch_metric_learning")
    print(
        f"Milliseconds, {TASK}, {args.threads} threads; median (least-most) of the "
        "repeats; ratios for each repeat; MiB that the first run adds; the loss.\n"
        f"{'':26}{'wall':>22}{'CPU':>22}{'MiB':>6}{'loss':>9}"
    )
    records = []
    for case in args.cases.split(","):
        records.append(measure(case, args))
        print(report(case, records[-1]), flush=True)
    save(records, args.json)


if __name__ == "__main__":
    main()
