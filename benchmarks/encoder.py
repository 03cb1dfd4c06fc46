"""One training step of the small CNN: this project beside PyTorch, on the CPU.

The same network (conv 32-3×3, pool, conv 64-3×3, pool, 128, 64, 10 classes), batch,
optimiser (Adam) and number of threads, in separate processes that take turns::

    python benchmarks/encoder.py --torch-python=/path/to/python/with/torch

PyTorch runs in its default memory format and in ``channels_last``; the ratio is taken
to the faster of the two. An "epoch" is 469 steps (MNIST at batch 128), scaled up from
``--steps``.
"""

import argparse
import platform
import sys
from functools import partial
from pathlib import Path

from turns import (
    KINDS,
    fastest,
    in_units,
    parser,
    pin,
    ratios,
    require,
    save,
    serve,
    spread,
    take_turns,
)

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


def work(args: argparse.Namespace) -> None:
    """One side: trains for so many steps whenever it is told to."""
    pin(args.threads)
    if args.side == "nfml_jax":
        run, version = jax_side(args.batch, args.steps)
    else:
        last = "channels_last" in args.side
        format = "channels_last" if last else "contiguous_format"
        run, version = torch_side(args.batch, args.steps, args.threads, format)
    serve({"train": run}, {"version": version})


def measure(args: argparse.Namespace) -> dict:
    """Wall and CPU seconds of every repeat, the sides taking turns."""
    pythons = dict.fromkeys(SIDES, args.torch_python) | {SIDES[0]: sys.executable}
    seconds, facts = take_turns(pythons, ["train"], args.repeats, threads=args.threads)
    epochs = in_units(seconds["train"], args.steps / EPOCH)
    peer = fastest(SIDES[1:], epochs, "wall")
    return {
        "seconds_per_epoch": epochs,
        "peer": peer,
        "ratio": {kind: ratios(epochs, SIDES[0], peer, kind) for kind in KINDS},
        "versions": {side: of_side["version"] for side, of_side in facts.items()},
        "python": platform.python_version(),
        "machine": platform.machine(),
        "batch": args.batch,
        "threads": args.threads,
        "steps": args.steps,
    }


def report(result: dict) -> str:
    lines = [
        f"Seconds per epoch of {EPOCH} steps, scaled from {result['steps']}; "
        f"batch {result['batch']}, {result['threads']} threads; "
        "median (least-most) of the repeats.",
        f"{'':22}{'wall':>20}{'CPU':>22}",
    ]
    for side, seconds in result["seconds_per_epoch"].items():
        wall, cpu = spread(seconds["wall"]), spread(seconds["cpu"])
        lines.append(f"{side:22}{wall:>20}{cpu:>22}  {result['versions'][side]}")
    wall, cpu = (spread(result["ratio"][kind], 2) for kind in KINDS)
    lines.append(f"{'ratio to ' + result['peer']:22}{wall:>20}{cpu:>22}")
    return "\n".join(lines)


def main() -> None:
    arguments = parser(__doc__, SIDES, peer="--torch-python", repeats=5)
    arguments.add_argument("--batch", type=int, default=128)
    arguments.add_argument("--steps", type=int, default=40, help="steps in one repeat")
    args = arguments.parse_args()
    if args.side:
        return work(args)
    require(args.torch_python, "torch", "--torch-python")
    result = measure(args)
    print(report(result))
    save(result, args.json)


if __name__ == "__main__":
    main()
