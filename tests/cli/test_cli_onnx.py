"""An exported ONNX model has the embeddings of the model, to 1e-5.

By hand, in an environment with `pip install 'nfml_jax[onnx]'`:
`pytest -n 0 tests/cli/test_cli_onnx.py`.
"""

import json
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nfml_jax.cli import export
from nfml_jax.errors import UserError
from nfml_jax.loading.pretrained import build
from nfml_jax.loading.recognition import make_classifier

IMAGE = (12, 12, 1)
HEAD = {"name": "arcface"}
ENCODERS = {
    "mlp": {"hidden": (5,)},
    "cnn": {"features": (4, 4, 6)},
    "lenetpp": {},
    "resnet18": {"width": 4, "blocks": (2, 2)},
    # Those of configs/folder.py.
    "folder": {
        "name": "cnn",
        "features": (4, 4, 6),
        "standardize": "local",
        "linear": 1,
        "mirror": True,
    },
}


def trained(name):
    encoder = {"name": name, "embedding_size": 3} | ENCODERS[name]
    module = make_classifier(encoder, HEAD, 2)
    batch = jnp.zeros((2, *IMAGE)), jnp.array([0, 1])
    variables = jax.jit(module.init)(jax.random.key(0), *batch)
    return loaded(encoder, variables, IMAGE)


def loaded(encoder, variables, image):
    config = {"name": "a", "seed": 0, "encoder": encoder, "head": HEAD, "data": {}}
    facts = {"loader": "classifier", "num_classes": 2, "class_names": ["a", "b"]}
    meta = {"step": 1, "model": facts | {"image_shape": [*image]}}
    return build(config, variables, meta, None, "here")


@pytest.mark.parametrize("name", ENCODERS)
def test_onnxruntime_has_the_embeddings_for_any_number_of_images(name):
    pytest.importorskip("jax2onnx", reason="pip install 'nfml_jax[onnx]'")
    onnxruntime = pytest.importorskip("onnxruntime")
    model = trained(name)
    session = onnxruntime.InferenceSession(export.serialize_onnx(model))
    for count in (1, 5):
        rng = np.random.default_rng(count)
        images = rng.integers(0, 256, (count, *IMAGE), dtype=np.uint8)
        (found,) = session.run(["embeddings"], {"images": images})
        expected = np.asarray(model.embed(images))
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5 * scale(expected))


@pytest.mark.slow
def test_a_resnet18_of_full_width_has_them_at_224_pixels():
    pytest.importorskip("jax2onnx", reason="pip install 'nfml_jax[onnx]'")
    onnxruntime = pytest.importorskip("onnxruntime")
    encoder = {"name": "resnet18", "embedding_size": 128}
    module = make_classifier(encoder, HEAD, 2)
    rough = jax.random.uniform(jax.random.key(1), (3, 14, 14, 3), maxval=255.0)
    images = np.uint8(jax.image.resize(rough, (3, 224, 224, 3), "linear"))
    batch = jnp.asarray(images[:2]), jnp.array([0, 1])
    variables = jax.jit(module.init)(jax.random.key(0), *batch)
    # Residual blocks start as the identity. With these scales each convolution counts,
    # and with the statistics of a batch activations are as large as after training.
    variables = jax.tree_util.tree_map_with_path(
        lambda path, x: jnp.ones_like(x) if "scale" in str(path[-1]) else x, variables
    )
    _, moved = jax.jit(lambda v: module.apply(v, *batch, mutable=["batch_stats"]))(
        variables
    )
    statistics = jax.tree.map(
        lambda new, old: old + (new - old) / (1 - 0.9),
        moved["batch_stats"],
        variables["batch_stats"],
    )
    model = loaded(encoder, variables | {"batch_stats": statistics}, images.shape[1:])
    session = onnxruntime.InferenceSession(export.serialize_onnx(model))
    (found,) = session.run(["embeddings"], {"images": images})
    expected = np.asarray(model.embed(images))
    assert 1 < np.abs(expected).max() < 10
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)


def scale(values):
    return max(1.0, float(np.abs(values).max()))


def test_the_command_writes_the_model_and_its_facts(tmp_path, capsys):
    pytest.importorskip("jax2onnx", reason="pip install 'nfml_jax[onnx]'")
    pytest.importorskip("safetensors")
    folder = trained("mlp").save_pretrained(tmp_path / "model")
    assert export.main([str(folder), "--format=onnx"]) == 0
    assert "onnxruntime.InferenceSession" in capsys.readouterr().out
    facts = json.loads((folder / "embed.onnx.json").read_text())
    assert facts["requires"] == ["onnxruntime"] and facts["classes"] == ["a", "b"]


def test_without_its_package_the_format_is_one_sentence(monkeypatch):
    monkeypatch.setitem(sys.modules, "jax2onnx", None)
    with pytest.raises(UserError, match=r"pip install 'nfml_jax\[onnx\]'"):
        export.serialize_onnx(trained("mlp"))
