"""Write a trained model as one file: `nfml export RUN`.

The file is a `jax.export` artifact: StableHLO with the parameters inside, for any
number of images, on CPU, GPU and TPU. It needs the packages `jax` and `flatbuffers`,
and neither this package nor Flax. With --format=onnx it is an ONNX model, written by
jax2onnx, for onnxruntime and others.
"""

import json
import logging
from pathlib import Path

import jax
import jax.numpy as jnp
from jax import export

from nfml_jax.cli.command import command, make_parser, writing
from nfml_jax.loading import load_embedder
from nfml_jax.loading.embedders import TrainedEmbedder
from nfml_jax.ops.extras import import_extra

PLATFORMS = ("cpu", "cuda", "tpu")
REQUIRES = ("jax", "flatbuffers")

HOW_TO_JAX = """\
import jax  # pip install jax flatbuffers
with open("{name}", "rb") as file:
    embed = jax.export.deserialize(bytearray(file.read())).call
embeddings = embed(images)  # uint8 {shape} -> float32 [N, {size}]
"""

HOW_TO_ONNX = """\
import onnxruntime  # pip install onnxruntime
session = onnxruntime.InferenceSession("{name}")
(embeddings,) = session.run(None, {{"images": images}})
# uint8 {shape} -> float32 [N, {size}]
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


def serialize_onnx(model: TrainedEmbedder) -> bytes:
    """Return the ONNX model of `embed`: uint8 `[N, H, W, C]` to float32 `[N, D]`.

    Since N is a symbol, convolutions are those of `lax` on every platform, which ONNX
    has, too.
    """
    to_onnx = import_extra("jax2onnx", "nfml export --format=onnx").to_onnx

    def embed(images):
        return model.module.apply(model.variables, images, method="embed")

    # jax2onnx warns of types that the runtime infers by itself.
    logging.getLogger("onnx_ir").setLevel(logging.ERROR)
    proto = to_onnx(
        embed,
        inputs=[jax.ShapeDtypeStruct(("N", *model.image_shape), jnp.uint8)],
        input_names=["images"],
        output_names=["embeddings"],
        model_name="embed",
    )
    # Where jax2onnx 0.17 leaves out transpositions, as in residual blocks, the shapes
    # that it notes inside are of the other order of axes, which onnxruntime refuses. It
    # infers them by itself.
    del proto.graph.value_info[:]
    return proto.SerializeToString()


# Format -> its serializer, the text about its use, and what the use requires.
FORMATS = {
    "jax": (serialize, HOW_TO_JAX, REQUIRES),
    "onnx": (serialize_onnx, HOW_TO_ONNX, ("onnxruntime",)),
}


@command
def main(arguments=None) -> None:
    """Run the command `nfml export`."""
    parser = make_parser("export", __doc__)
    parser.add_argument("run", type=Path, help="the run directory")
    parser.add_argument(
        "--checkpoint", default="reported", help="reported (default), last or best"
    )
    parser.add_argument("--format", choices=FORMATS, default="jax", help="default: jax")
    parser.add_argument("--output", type=Path, help="default: RUN/embed.FORMAT")
    options = parser.parse_args(arguments)
    target = options.output or options.run / f"embed.{options.format}"
    write, how_to, requires = FORMATS[options.format]
    model = load_embedder(options.run, options.checkpoint)
    with writing(target):
        target.write_bytes(write(model))
        note = json.dumps(describe(model) | {"requires": requires}, indent=2)
        target.with_name(target.name + ".json").write_text(note + "\n")
    shape = str(["N", *model.image_shape]).replace("'", "")
    print(f"Wrote {target} ({target.stat().st_size / 1e6:.1f} MB). To use it:\n")
    print(how_to.format(name=target, shape=shape, size=model.embedding_size))


def describe(model: TrainedEmbedder) -> dict:
    """Return the facts that a user of the artifact needs and can't read from it."""
    return {
        "input": ["N", *model.image_shape],
        "pictures": {"crop": model.crop, "fit": model.fit},
        "output": ["N", model.embedding_size],
        "platforms": PLATFORMS,
        "threshold": model.threshold,
        "classes": model.class_names,
        "step": model.step,
        "jax": jax.__version__,
    }
