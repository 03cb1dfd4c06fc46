"""The first article's run, and a density of very many points: this project alone.

The run's 5,000 steps by its command and as a bare loop, timed as whole processes; and
the memory that log-densities of many points take::

    python benchmarks/flows_alone.py article
    python benchmarks/flows_alone.py memory --points=1000000
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from harness import clock, since, spread

ROOT = Path(__file__).resolve().parents[1]


def article(repeats: int) -> None:
    """Time the first article's 5,000 steps: by the command, and as a bare loop."""
    command = [sys.executable, "launch.py", "--config=configs/spline_circles.py"]
    loop = [sys.executable, str(Path(__file__).resolve()), "bare"]
    env = os.environ | {"JAX_PLATFORMS": "cpu"}
    spent = {"command": [], "bare loop": []}
    for _ in range(repeats):
        for name, what in ("command", command), ("bare loop", loop):
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


def bare() -> None:
    """Train as the article's run does, without log, checkpoints and evaluation."""
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
        f"bare loop: {compiled[0]:.2f} s to initialize and compile, {trained[0]:.2f} s "
        f"({trained[1]:.2f} s CPU) for 5,000 steps; loss {loss:.4f}"
    )


def memory(points: int) -> None:
    """Print the memory that `TrainedFlow.log_prob` takes for `points` at D = 63."""
    sys.path.insert(0, str(ROOT))
    import jax
    import jax.numpy as jnp
    import numpy as np

    from nfml_jax import flows
    from nfml_jax.loading.flows import TrainedFlow

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
    arguments = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    arguments.add_argument("what", choices=("article", "bare", "memory"))
    arguments.add_argument("--repeats", type=int, default=5, help="of the article")
    arguments.add_argument("--points", type=int, default=1_000_000)
    args = arguments.parse_args()
    if args.what == "article":
        article(args.repeats)
    elif args.what == "bare":
        bare()
    else:
        memory(args.points)


if __name__ == "__main__":
    main()
