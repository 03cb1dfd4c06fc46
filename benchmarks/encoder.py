"""One training step of the small CNN: this project beside PyTorch.

The same network (conv 32-3×3, pool, conv 64-3×3, pool, 128, 64, 10 classes), batch,
optimizer (Adam) and number of threads, in separate processes that are timed
alternately::

    python benchmarks/encoder.py --peer-python=/path/to/python/with/torch

PyTorch runs in its default memory format and in ``channels_last``; the ratio is taken
to the faster of the two. An "epoch" is 469 steps (MNIST at batch 128), scaled up from
``--steps``.
"""

import argparse
import sys
from functools import partial
from pathlib import Path

from harness import (
    KINDS,
    compiled,
    in_units,
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

EPOCH = 469
CLASSES = 10
IMPLEMENTATIONS = ("nfml_jax", "torch", "torch channels_last")


def jax_task(batch: int, steps: int):
    """Return a training of `steps` steps in one dispatch, as the loop does.

    Return also the library's version and the seconds to compile.
    """
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

    count = jnp.int32(steps)
    train, seconds = compiled(train, state, images, labels, count)

    def run():
        nonlocal state
        state = jax.block_until_ready(train(state, images, labels, count))

    return run, f"jax {jax.__version__}", seconds


def torch_task(args: argparse.Namespace, memory_format: str):
    """Return the training in PyTorch, the library's version, and None."""
    import torch
    from torch import nn

    wait = torch_on(args)
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
    images = torch.randn(args.steps, args.batch, 1, 28, 28)
    labels = torch.randint(0, CLASSES, (args.steps, args.batch))

    def run():
        for x, y in zip(images, labels, strict=True):
            x = x.contiguous(memory_format=memory_format)
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(x), y).backward()
            optimizer.step()
        wait()

    return run, f"torch {torch.__version__}", None


def work(args: argparse.Namespace) -> None:
    """Serve one implementation, whose task is to train for `args.steps` steps."""
    pin(args.threads)
    if args.implementation == "nfml_jax":
        run, version, seconds = jax_task(args.batch, args.steps)
    else:
        last = "channels_last" in args.implementation
        format = "channels_last" if last else "contiguous_format"
        run, version, seconds = torch_task(args, format)
    serve({"train": run}, version, args, {"train": seconds})


def measure(args: argparse.Namespace) -> dict:
    """Return the record of an epoch."""
    pythons = dict.fromkeys(IMPLEMENTATIONS, args.peer_python) | {
        IMPLEMENTATIONS[0]: sys.executable
    }
    timings = run_alternately(pythons, ["train"], args)["train"]
    timings = in_units(timings, args.steps / EPOCH)
    given = {"batch": args.batch, "steps": args.steps}
    unit = f"an epoch of {EPOCH} steps"
    return record("encoder", unit, IMPLEMENTATIONS[0], timings, args, **given)


def report(result: dict) -> str:
    lines = [
        f"Seconds for {result['unit']}, scaled from {result['steps']}; "
        f"batch {result['batch']}, {result['threads']} threads; "
        "median (least-most) of the repeats.",
        f"{'':22}{'wall':>20}{'CPU':>22}",
    ]
    timings, peer = result["implementations"], result["peer"]
    for name, facts in timings.items():
        wall, cpu = spread(facts["wall"]), spread(facts["cpu"])
        lines.append(f"{name:22}{wall:>20}{cpu:>22}  {facts['version']}")
    wall, cpu = (
        spread(ratios(timings, IMPLEMENTATIONS[0], peer, kind), 2) for kind in KINDS
    )
    lines.append(f"{'ratio to ' + peer:22}{wall:>20}{cpu:>22}")
    return "\n".join(lines)


def main() -> None:
    arguments = parser(__doc__, IMPLEMENTATIONS, repeats=5)
    arguments.add_argument("--batch", type=int, default=128)
    arguments.add_argument("--steps", type=int, default=40, help="steps in one repeat")
    args = arguments.parse_args()
    if args.implementation:
        return work(args)
    require(args.peer_python, "torch")
    result = measure(args)
    print(report(result))
    save([result], args.json)


if __name__ == "__main__":
    main()
