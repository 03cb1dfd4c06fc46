"""Pair and triplet losses with gradients beside pytorch-metric-learning, on the CPU.

Each task is a loss's value and its gradient with respect to a batch of embeddings of
128 dimensions; every side runs in a process of its own, and they take turns::

    python benchmarks/metric_losses.py --peer-python=/path/to/python/with/the/peer

"band" mines the same triplets on both sides, all that are semi-hard; "semi_hard" is one
negative for each positive here, as FaceNet has it, which the peer's miner has not. The
peer needs over 15 GB for NT-Xent at this size, so its memory is given for this
project alone.
"""

import argparse
import resource
import statistics
import sys
from pathlib import Path

import numpy as np
from turns import (
    KINDS,
    clock,
    parser,
    pin,
    ratios,
    require,
    save,
    serve,
    since,
    spread,
    take_turns,
)

SIDES = ("nfml_jax", "pytorch-metric-learning")
SIZE, MARGIN, TEMPERATURE = 128, 0.2, 0.1
# Rows of a batch and its classes; the loss here, and its options.
BAND = {"name": "triplet", "miner": "semi_hard_band", "margin": MARGIN}
TASKS = {
    "band, 512 rows, 128 classes": (512, 128, BAND),
    "band, 512 rows, 10 classes": (512, 10, BAND),
    "semi_hard, 512 rows, 128 classes": (512, 128, BAND | {"miner": "semi_hard"}),
    "semi_hard, 512 rows, 10 classes": (512, 10, BAND | {"miner": "semi_hard"}),
    "multi_similarity, 1024 rows, 256 classes": (
        1024,
        256,
        {"name": "multi_similarity", "miner": "all", "base": 0.5},
    ),
    "sup_con, 1024 rows, 256 classes": (
        1024,
        256,
        {"name": "sup_con", "temperature": TEMPERATURE},
    ),
}
NT_XENT = (1024, 512, {"name": "nt_xent", "temperature": TEMPERATURE})


def batch(rows: int, classes: int):
    """Random embeddings, a little nearer to each other within a class, and labels."""
    rng = np.random.default_rng(0)
    labels = np.arange(rows) % classes
    noise = rng.normal(size=(rows, SIZE))
    embeddings = noise + 0.7 * rng.normal(size=(classes, SIZE))[labels]
    return embeddings.astype(np.float32), labels


def jax_side(threads: int):
    """The tasks, the values they end in, and the memory of NT-Xent."""
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    import jax

    from nfml_jax.losses import make_loss

    def compiled(rows, classes, options):
        objective = make_loss(classes, SIZE, **options)

        def loss(x, labels):
            return objective.apply({}, x, labels).loss

        given = jax.device_put(batch(rows, classes))
        program = jax.jit(jax.value_and_grad(loss)).lower(*given).compile()
        return program, lambda: jax.block_until_ready(program(*given))

    before = _peak_megabytes()
    program, run = compiled(*NT_XENT)
    compiled_at = _peak_megabytes()
    run()
    memory = {
        "of the program": program.memory_analysis().temp_size_in_bytes / 1e6,
        "to compile": compiled_at - before,
        "to run": _peak_megabytes() - compiled_at,
    }
    turns = []
    for _ in range(5):
        start = clock()
        run()
        turns.append(since(start)[1])
    tasks = {name: compiled(*task)[1] for name, task in TASKS.items()}
    values = {name: float(task()[0]) for name, task in tasks.items()}
    nt_xent = {"megabytes": memory, "milliseconds": 1e3 * statistics.median(turns)}
    facts = {"version": f"jax {jax.__version__}", "values": values, "nt_xent": nt_xent}
    return tasks, facts


def peer_side(threads: int):
    """The same, by the library's losses and miners of the same definitions."""
    import pytorch_metric_learning
    import torch
    from pytorch_metric_learning import losses, miners

    torch.set_num_threads(threads)

    def prepared(rows, classes, options):
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
            return value.detach()

        return run

    tasks = {name: prepared(*task) for name, task in TASKS.items()}
    values = {name: float(task()) for name, task in tasks.items()}
    version = f"{pytorch_metric_learning.__version__}, torch {torch.__version__}"
    return tasks, {"version": version, "values": values}


def _peak_megabytes() -> float:
    """The most memory that this process has had (Linux)."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3


def work(args: argparse.Namespace) -> None:
    """One side: does what it is told to."""
    pin(args.threads)
    side = jax_side if args.side == SIDES[0] else peer_side
    serve(*side(args.threads))


def report(result: dict) -> str:
    lines = [
        f"Milliseconds, value and gradient, {result['threads']} threads; median "
        "(least-most) of the repeats; ratios turn by turn; the loss.",
        f"{'':42}{'wall':>20}{'CPU':>20}{'loss':>9}",
    ]
    for task, times in result["seconds"].items():
        lines.append(task)
        for side, seconds in times.items():
            shown = [spread([1e3 * s for s in seconds[kind]]) for kind in KINDS]
            value = result["facts"][side]["values"][task]
            lines.append(f"  {side:40}{shown[0]:>20}{shown[1]:>20}{value:9.4f}")
        shown = [spread(ratios(times, *SIDES, kind), 2) for kind in KINDS]
        lines.append(f"  {'ratio':40}{shown[0]:>20}{shown[1]:>20}")
    nt_xent = result["facts"][SIDES[0]]["nt_xent"]
    memory = (f"{value:.0f} MB {what}" for what, value in nt_xent["megabytes"].items())
    lines.append(
        f"nt_xent, 1024 rows, 512 pairs: {nt_xent['milliseconds']:.1f} ms of CPU, "
        + ", ".join(memory)
    )
    lines += [f"{side}: {result['facts'][side]['version']}" for side in SIDES]
    return "\n".join(lines)


def main() -> None:
    args = parser(__doc__, SIDES, repeats=7).parse_args()
    if args.side:
        return work(args)
    require(args.peer_python, "pytorch_metric_learning", "--peer-python")
    pythons = {SIDES[0]: sys.executable, SIDES[1]: args.peer_python}
    seconds, facts = take_turns(pythons, TASKS, args.repeats, threads=args.threads)
    result = {"seconds": seconds, "facts": facts, "threads": args.threads}
    print(report(result))
    save(result, args.json)


if __name__ == "__main__":
    main()
