"""Neural spline flows: a training step, log_prob and sampling beside other libraries.

The same coupling flow in all (see `flow_sides.py`), each in a process of its own on the
same cores; one task at a time goes round the sides, turn by turn::

    python benchmarks/flows.py --peer-python=/path/to/python/with/peers

With `--repeats=0` only the times to compile are reported; a case is coordinates x
layers x width of the network::

    python benchmarks/flows.py --repeats=0 --sides=nfml_jax --cases=6x10x256,6x40x256

Two further measurements, of this project alone: the first article's run, by its command
and as a bare loop; and the memory that a density of very many points takes::

    python benchmarks/flows.py --article
    python benchmarks/flows.py --memory=1000000
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from flow_sides import AT_HOME, ROOT, SIDES
from turns import (
    KINDS,
    clock,
    in_units,
    parser,
    pin,
    ratios,
    record,
    save,
    serve,
    since,
    spread,
    take_turns,
)

CASES = "6x5x128,6x10x256,43x5x128,43x10x256"
TASKS = "train", "log_prob", "sample"


def work(args) -> None:
    """One side: does each task so many times whenever it is told to."""
    pin(args.threads)
    args.dim, args.layers, args.hidden = map(int, args.case.split("x"))
    tasks, facts = SIDES[args.side](args)

    def several(task):
        def run():
            for _ in range(args.runs):
                task()

        return run

    serve({name: several(task) for name, task in tasks.items()}, args=args, **facts)


def measure(case: str, args) -> list[dict]:
    """The records of a case's tasks."""
    pythons = {
        side: sys.executable if side in AT_HOME else args.peer_python
        for side in args.sides
    }
    turns = take_turns(pythons, TASKS, args, ["--case", case])
    unit, given = f"{args.batch} rows", {"batch": args.batch, "runs": args.runs}
    return [
        record(
            f"flows {case} {task}",
            unit,
            "nfml_jax",
            in_units(sides, args.runs),
            args,
            **given,
        )
        for task, sides in turns.items()
    ]


def report(case: str, results: list[dict], args) -> str:
    dim, layers, hidden = case.split("x")
    lines = [
        f"{dim} coordinates, {layers} layers of width {hidden}, batch {args.batch}, "
        f"{args.threads} thread(s); median (least-most) of the turns."
    ]
    for side, facts in results[0]["sides"].items():
        words = [facts["version"], f"parameters {facts['parameters']}"]
        for task, result in zip(TASKS, results, strict=True):
            if seconds := result["sides"][side]["compile"]:
                trace, compile = seconds
                words.append(
                    f"{task} traced + compiled in {trace:.1f} + {compile:.1f} s"
                )
        lines.append(f"{side}: {', '.join(words)}")
    for task, result in zip(TASKS, results, strict=True) if args.repeats else ():
        lines.append(f"{task + ', ms':16}{'wall':>24}{'CPU':>24}")
        sides, peer = result["sides"], result["peer"]
        rows = {
            side: [spread(facts[kind], 1, 1e3) for kind in KINDS]
            for side, facts in sides.items()
        }
        if peer:
            rows[f"to {peer}"] = [
                spread(ratios(sides, "nfml_jax", peer, kind), 2) for kind in KINDS
            ]
        for name, (wall, cpu) in rows.items():
            lines.append(f"  {name:14}{wall:>24}{cpu:>24}")
    return "\n".join(lines)


def article(repeats: int) -> None:
    """The first article's 5,000 steps: the command, and the bare loop in a process."""
    command = [sys.executable, "launch.py", "--config=configs/spline_circles.py"]
    bare = [sys.executable, str(Path(__file__).resolve()), "--side=article"]
    env = os.environ | {"JAX_PLATFORMS": "cpu"}
    spent = {"command": [], "bare loop": []}
    for _ in range(repeats):
        for name, what in ("command", command), ("bare loop", bare):
            with tempfile.TemporaryDirectory() as folder:
                workdir = [f"--workdir={folder}/run"] if name == "command" else []
                start = time.perf_counter(), _cpu_of_children()
                done = subprocess.run(
                    [*what, *workdir],
                    cwd=ROOT,
                    env=env,
                    check=True,
                    capture_output=True,
                    text=True,
                )
                wall, cpu = (
                    time.perf_counter() - start[0],
                    _cpu_of_children() - start[1],
                )
            spent[name].append((wall, cpu))
            if name == "bare loop":
                print(done.stdout, end="")
    for name, times in spent.items():
        wall, cpu = (spread(values) for values in zip(*times, strict=True))
        print(f"{name}, the whole process: {wall} s wall, {cpu} s CPU", flush=True)


def _cpu_of_children() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def bare_article() -> None:
    """What the article's run computes, without log, checkpoints and evaluation."""
    sys.path.insert(0, str(ROOT))
    import jax
    import jax.numpy as jnp
    import optax
    from sklearn.datasets import make_circles

    from nfml_jax import flows

    x = make_circles(1000, factor=0.5, noise=0.05, random_state=0)[0]
    x = jnp.asarray((x - x.mean(0)) / x.std(0), jnp.float32)
    flow, adam = flows.independent(2, layers=1, bins=16, bound=3.0), optax.adam(1e-2)

    def step(_, state):
        variables, moments, _ = state
        loss, gradient = jax.value_and_grad(lambda v: -flow.apply(v, x).mean())(
            variables
        )
        updates, moments = adam.update(gradient, moments)
        return optax.apply_updates(variables, updates), moments, loss

    start = clock()
    variables = jax.jit(flow.init)(jax.random.key(0), x)
    state = variables, adam.init(variables), jnp.zeros(())
    train = jax.jit(lambda state: jax.lax.fori_loop(0, 5000, step, state))
    train = train.lower(state).compile()
    compiled = since(start)
    start = clock()
    loss = float(train(state)[2])
    trained = since(start)
    print(
        f"bare loop: {compiled[0]:.2f} s to initialise and compile, {trained[0]:.2f} s "
        f"({trained[1]:.2f} s CPU) for 5,000 steps; loss {loss:.4f}"
    )


def memory(points: int) -> None:
    """The memory that `TrainedFlow.log_prob` takes for so many points at D = 63."""
    sys.path.insert(0, str(ROOT))
    import jax
    import jax.numpy as jnp
    import numpy as np

    from nfml_jax import flows
    from nfml_jax.flows.trained import TrainedFlow

    def peak():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10

    dim = 63
    flow = flows.rq_nsf(event_dim=dim, layers=2, hidden=64)
    variables = jax.jit(flow.init)(jax.random.key(0), jnp.zeros((1, dim)))
    trained = TrainedFlow(flow, variables, np.zeros(dim), np.ones(dim), 0)
    x = np.random.default_rng(0).standard_normal((points, dim), np.float32)
    before = peak()
    start = clock()
    trained.log_prob(x)
    wall, cpu = since(start)
    print(
        f"{points:,} points of {dim} coordinates ({x.nbytes / 2**20:.0f} MiB): peak "
        f"memory {before:.0f} MiB before, {peak():.0f} MiB after; {wall:.1f} s wall, "
        f"{cpu:.1f} s CPU with compilation"
    )


def main() -> None:
    arguments = parser(__doc__, [*SIDES, "article"], repeats=5, threads=1)
    arguments.set_defaults(peer_python=None)  # without them, what is at home
    arguments.add_argument(
        "--cases", default=CASES, help="coordinates x layers x width"
    )
    arguments.add_argument("--sides", default=",".join(SIDES))
    arguments.add_argument("--batch", type=int, default=512)
    arguments.add_argument("--runs", type=int, default=4, help="runs in one turn")
    arguments.add_argument("--article", action="store_true", help="time that run")
    arguments.add_argument("--memory", type=int, help="points to take the density of")
    arguments.add_argument("--case", help=argparse.SUPPRESS)
    args = arguments.parse_args()
    if args.side == "article":
        return bare_article()
    if args.side:
        return work(args)
    if args.article:
        return article(args.repeats)
    if args.memory:
        return memory(args.memory)
    args.sides = args.sides.split(",")
    if not args.peer_python:
        args.sides = [side for side in args.sides if side in AT_HOME]
    records = []
    for case in args.cases.split(","):
        records += measure(case, args)
        print(report(case, records[-len(TASKS) :], args), flush=True)
    save(records, args.json)


if __name__ == "__main__":
    main()
