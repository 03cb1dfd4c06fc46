"""The cost of Glow in this project alone, by its depth and the number of images.

The seconds to trace, lower and compile a training step, and the memory of a gradient by
what a stack stores, at several depths; and the memory of the bits per dimension of many
images. Each figure is measured in its own process::

    python benchmarks/images_alone.py compile --steps=8,16,32
    python benchmarks/images_alone.py memory --steps=8,32
    python benchmarks/images_alone.py bits --images=10000 --samples=8
"""

import argparse
import subprocess
import sys
from itertools import pairwise

from harness import clock, memory, reset_peak_memory, since
from image_setting import PIXELS, SHAPE
from image_training import glow, images, training

STORED = "keep", "remat", "invert"
BATCH, HIDDEN = 128, 64
MIB = 2**20


def start(model):
    """Return variables of a new model, without compiling its initialization."""
    import jax
    import jax.numpy as jnp

    def filled(leaf):
        if jnp.issubdtype(leaf.dtype, jnp.inexact):
            return jnp.full(leaf.shape, 0.01, leaf.dtype)
        return jnp.broadcast_to(jnp.arange(leaf.shape[-1]), leaf.shape)

    key = jax.random.key(0)
    return jax.tree.map(filled, jax.eval_shape(model.init, key, images(2), key))


def compile_step(steps: int) -> None:
    from nfml_jax.training.devices import divide_cpu

    divide_cpu(None)
    model = glow(steps, HIDDEN, prior="learned")
    dispatch, state, rest, mesh = training(model, start(model), BATCH, 4)
    spent = [clock()]
    traced = dispatch.trace(state, *rest)
    spent.append(clock())
    lowered = traced.lower()
    spent.append(clock())
    lowered.compile()
    spent.append(clock())
    words = [
        f"{name} {end[0] - begun[0]:.1f} ({end[1] - begun[1]:.1f})"
        for name, (begun, end) in zip(
            ("trace", "lower", "compile"), pairwise(spent), strict=True
        )
    ]
    print(
        f"{steps} steps a scale, {mesh.size} device(s), seconds of wall (CPU): "
        f"{', '.join(words)}"
    )


def gradient(steps: int, stored: str) -> None:
    import jax

    model, key = glow(steps, HIDDEN, memory=stored), jax.random.key(0)
    variables, x = start(model), images(BATCH)
    params = variables.pop("params")

    @jax.jit
    def gradients(params):
        def nats(params):
            return -model.apply({"params": params, **variables}, x, key).mean()

        return jax.grad(nats)(params)

    compiled = gradients.lower(params).compile()
    scratch = compiled.memory_analysis().temp_size_in_bytes
    before = reset_peak_memory() or memory("VmRSS")
    jax.block_until_ready(compiled(params))
    print(
        f"{steps} steps a scale, {stored}: {scratch / MIB:.0f} MiB of scratch; the "
        f"process grew by {(memory('VmHWM') - before) / MIB:.0f} MiB at its peak"
    )


def bits(count: int, samples: int) -> None:
    from nfml_jax.data.look import Look
    from nfml_jax.loading.pixels import TrainedPixelFlow

    model, x = glow(8, HIDDEN), images(count)
    look = Look.of(SHAPE[:2], SHAPE[2])
    trained = TrainedPixelFlow(model, start(model), SHAPE, PIXELS, 0, look)
    before, begun = reset_peak_memory() or memory("VmRSS"), clock()
    found = trained.bits_per_dim(x, samples=samples)
    wall, cpu = since(begun)
    print(
        f"{count:,} images, {samples} sample(s): the process grew by "
        f"{(memory('VmHWM') - before) / MIB:.0f} MiB at its peak, with compilation; "
        f"{wall:.0f} s of wall, {cpu:.0f} s of CPU; {len(found.per_image):,} numbers"
    )


def main() -> None:
    arguments = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    arguments.add_argument("what", choices=("compile", "memory", "bits"))
    arguments.add_argument("--steps", default="8,32", help="of each scale")
    arguments.add_argument("--stored", default=",".join(STORED))
    arguments.add_argument("--images", type=int, default=10_000)
    arguments.add_argument("--samples", type=int, default=8)
    args = arguments.parse_args()
    steps, stored = args.steps.split(","), args.stored.split(",")
    if args.what == "bits":
        return bits(args.images, args.samples)
    if len(steps) == 1 and (args.what == "compile" or len(stored) == 1):
        if args.what == "compile":
            return compile_step(int(steps[0]))
        return gradient(int(steps[0]), stored[0])
    for way in stored if args.what == "memory" else stored[:1]:
        for depth in steps:
            flags = [args.what, f"--steps={depth}", f"--stored={way}"]
            subprocess.run([sys.executable, __file__, *flags], check=True)


if __name__ == "__main__":
    main()
