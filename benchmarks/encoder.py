"""One training step of the small CNN: this project beside PyTorch, on the CPU.

The same network (conv 32-3×3, pool, conv 64-3×3, pool, 128, 64, 10 classes), batch,
optimiser (Adam) and number of threads, in separate processes that take turns::

    python benchmarks/encoder.py --torch-python=/path/to/python/with/torch

PyTorch runs in its default memory format and in ``channels_last``; the ratio is taken
to the faster of the two. An "epoch" is 469 steps (MNIST at batch 128), scaled up from
``--steps``.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

EPOCH = 469
CLASSES = 10
SIDES = ("nfml_jax", "torch", "torch channels_last")


def jax_side(batch: int, steps: int):
    """A function that trains for ``steps`` steps in one dispatch, as the loop does."""
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    import flax.linen as nn
    import jax
    import jax.numpy as jnp
    import optax
    from jax import lax
    from jax.sharding import AxisType, NamedSharding
    from jax.sharding import PartitionSpec as P

    from nfml_jax.nets import make_net

    class Classifier(nn.Module):
        @nn.compact
        def __call__(self, images):
            embeddings = make_net("cnn", 64)(images, True)
            return nn.Dense(CLASSES)(embeddings)

    model, optimizer = Classifier(), optax.adam(1e-3)
    keys = jax.random.split(jax.random.key(0), 3)
    images = jax.random.normal(keys[0], (steps, batch, 28, 28, 1))
    labels = jax.random.randint(keys[1], (steps, batch), 0, CLASSES)
    mesh = jax.make_mesh((1,), ("devices",), axis_types=(AxisType.Auto,))
    split = P(None, "devices")
    params = jax.jit(model.init)(keys[2], images[0])
    # Placed as the dispatch returns it, or the second dispatch would compile again.
    state = jax.device_put((params, optimizer.init(params)), NamedSharding(mesh, P()))

    def step(i, state, images, labels):
        params, moments = state

        def loss(params):
            logits = model.apply(params, images[i])
            losses = optax.softmax_cross_entropy_with_integer_labels(logits, labels[i])
            return losses.mean()

        local = lax.pcast(params, "devices", to="varying")
        gradients = lax.pmean(jax.grad(loss)(local), "devices")
        updates, moments = optimizer.update(gradients, moments)
        return optax.apply_updates(params, updates), moments

    @partial(jax.jit, donate_argnums=0)
    @partial(jax.shard_map, mesh=mesh, in_specs=(P(), split, split, P()), out_specs=P())
    def train(state, images, labels, count):
        body = partial(step, images=images, labels=labels)
        return lax.fori_loop(0, count, body, state)

    def run():
        nonlocal state
        state = jax.block_until_ready(train(state, images, labels, jnp.int32(steps)))

    return run, f"jax {jax.__version__}"


def torch_side(batch: int, steps: int, threads: int, memory_format: str):
    """The same in PyTorch."""
    import torch
    from torch import nn

    torch.set_num_threads(threads)
    memory_format = getattr(torch, memory_format)
    model = nn.Sequential(
        nn.Conv2d(1, 32, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(32, 64, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(64 * 7 * 7, 128),
        nn.ReLU(),
        nn.Linear(128, 64),
        nn.Linear(64, CLASSES),
    ).to(memory_format=memory_format)
    optimizer = torch.optim.Adam(model.parameters(), 1e-3)
    images = torch.randn(steps, batch, 1, 28, 28)
    labels = torch.randint(0, CLASSES, (steps, batch))

    def run():
        for x, y in zip(images, labels, strict=True):
            x = x.contiguous(memory_format=memory_format)
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(x), y).backward()
            optimizer.step()

    return run, f"torch {torch.__version__}"


def work(side: str, batch: int, steps: int, threads: int) -> None:
    """A worker: prints its version, then wall and CPU seconds for each line read."""
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])
    if side == "nfml_jax":
        run, version = jax_side(batch, steps)
    else:
        format = "channels_last" if "channels_last" in side else "contiguous_format"
        run, version = torch_side(batch, steps, threads, format)
    run()
    print(version, flush=True)
    for _ in sys.stdin:
        wall, cpu = time.perf_counter(), time.process_time()
        run()
        times = time.perf_counter() - wall, time.process_time() - cpu
        print(json.dumps(times), flush=True)


def start(side: str, args: argparse.Namespace) -> tuple[subprocess.Popen, str]:
    """The worker of ``side`` and its library's version."""
    python = sys.executable if side == "nfml_jax" else args.torch_python
    command = [python, __file__, "--side", side]
    for name in ("batch", "steps", "threads"):
        command += [f"--{name}", str(getattr(args, name))]
    # One thread pool per process: what is compared is the library's own threading.
    env = os.environ | {"JAX_PLATFORMS": "cpu", "OMP_NUM_THREADS": str(args.threads)}
    worker = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env
    )
    version = worker.stdout.readline().strip()
    if not version:
        sys.exit(f"The worker for {side} ended at once; its message is above.")
    return worker, version


def measure(args: argparse.Namespace) -> dict:
    """Wall and CPU seconds of every repeat, the sides taking turns."""
    workers, versions = {}, {}
    for side in SIDES:
        workers[side], versions[side] = start(side, args)
    seconds = {side: {"wall": [], "cpu": []} for side in SIDES}
    for _ in range(args.repeats):
        for side, worker in workers.items():
            worker.stdin.write("go\n")
            worker.stdin.flush()
            wall, cpu = json.loads(worker.stdout.readline())
            seconds[side]["wall"].append(wall / args.steps * EPOCH)
            seconds[side]["cpu"].append(cpu / args.steps * EPOCH)
    for worker in workers.values():
        worker.stdin.close()
        worker.wait()
    peer = min(SIDES[1:], key=lambda side: statistics.median(seconds[side]["wall"]))
    ratios = {
        kind: [
            ours / theirs
            for ours, theirs in zip(
                seconds["nfml_jax"][kind], seconds[peer][kind], strict=True
            )
        ]
        for kind in ("wall", "cpu")
    }
    return {
        "seconds_per_epoch": seconds,
        "peer": peer,
        "ratio": ratios,
        "versions": versions,
        "python": platform.python_version(),
        "machine": platform.machine(),
        "batch": args.batch,
        "threads": args.threads,
        "steps": args.steps,
    }


def spread(values: list[float], digits: int) -> str:
    middle, low, high = statistics.median(values), min(values), max(values)
    return f"{middle:.{digits}f} ({low:.{digits}f}-{high:.{digits}f})"


def report(result: dict) -> str:
    lines = [
        f"Seconds per epoch of {EPOCH} steps, scaled from {result['steps']}; "
        f"batch {result['batch']}, {result['threads']} threads; "
        "median (least-most) of the repeats.",
        f"{'':22}{'wall':>20}{'CPU':>22}",
    ]
    for side, seconds in result["seconds_per_epoch"].items():
        wall, cpu = spread(seconds["wall"], 1), spread(seconds["cpu"], 1)
        lines.append(f"{side:22}{wall:>20}{cpu:>22}  {result['versions'][side]}")
    wall, cpu = (spread(result["ratio"][kind], 2) for kind in ("wall", "cpu"))
    lines.append(f"{'ratio to ' + result['peer']:22}{wall:>20}{cpu:>22}")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--torch-python", default=sys.executable)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--steps", type=int, default=40, help="steps in one repeat")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    parser.add_argument("--side", choices=SIDES, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.side:
        return work(args.side, args.batch, args.steps, args.threads)
    probe = [args.torch_python, "-c", "import torch"]
    if subprocess.run(probe, capture_output=True, check=False).returncode:
        sys.exit(
            f"{args.torch_python} cannot import torch: install "
            "benchmarks/requirements.txt there, or name another interpreter with "
            "--torch-python."
        )
    result = measure(args)
    print(report(result))
    if args.json:
        args.json.write_text(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
