"""Write a trained model as one file: `nfml export RUN`.

The file is a `jax.export` artifact: StableHLO with the parameters inside, for any
number of images, on CPU, GPU and TPU. It needs the packages `jax` and `flatbuffers`,
and neither this package nor Flax.
"""

import json
from pathlib import Path

import jax
import jax.numpy as jnp
from jax import export

from nfml_jax.cli.command import command, make_parser, writing
from nfml_jax.loading import load_embedder
from nfml_jax.loading.embedders import TrainedEmbedder

PLATFORMS = ("cpu", "cuda", "tpu")
REQUIRES = ("jax", "flatbuffers")

HOW_TO = """\
import jax  # pip install jax flatbuffers
with open("{name}", "rb") as file:
    embed = jax.export.deserialize(bytearray(file.read())).call
embeddings = embed(images)  # uint8 {shape} -> float32 [N, {size}]
"""


def serialize(model: TrainedEmbedder) -> bytes:
    """Return the artifact of `embed`: uint8 `[N, H, W, C]` to float32 `[N, D]`.

    N may be any number, 1 or more.
    """
    (rows,) = export.symbolic_shape("N")
    images = jax.ShapeDtypeStruct((rows, *model.image_shape), jnp.uint8)

    @jax.jit
    def embed(images):
        return model.module.apply(model.variables, images, method="embed")

    return bytes(export.export(embed, platforms=PLATFORMS)(images).serialize())


@command
def main(arguments=None) -> None:
    """Run the command `nfml export`."""
    parser = make_parser("export", __doc__)
    parser.add_argument("run", type=Path, help="the run directory")
    parser.add_argument(
        "--checkpoint", default="reported", help="reported (default), last or best"
    )
    parser.add_argument("--output", type=Path, help="default: RUN/embed.jax")
    options = parser.parse_args(arguments)
    target = options.output or options.run / "embed.jax"
    model = load_embedder(options.run, options.checkpoint)
    with writing(target):
        target.write_bytes(serialize(model))
        note = json.dumps(describe(model), indent=2)
        target.with_name(target.name + ".json").write_text(note + "\n")
    shape = str(["N", *model.image_shape]).replace("'", "")
    print(f"Wrote {target} ({target.stat().st_size / 1e6:.1f} MB). To use it:\n")
    print(HOW_TO.format(name=target, shape=shape, size=model.embedding_size))


def describe(model: TrainedEmbedder) -> dict:
    """Return the facts that a user of the artifact needs and can't read from it."""
    return {
        "input": ["N", *model.image_shape],
        "pictures": {"crop": model.crop, "fit": model.fit},
        "output": ["N", model.embedding_size],
        "platforms": PLATFORMS,
        "requires": REQUIRES,
        "threshold": model.threshold,
        "classes": model.class_names,
        "step": model.step,
        "jax": jax.__version__,
    }
