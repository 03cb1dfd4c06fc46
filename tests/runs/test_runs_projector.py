"""The projector serves what was written."""

import json
import math
from io import BytesIO

import numpy as np
import pytest
from PIL import Image
from tensorboard.plugins.projector.projector_plugin import ProjectorPlugin
from werkzeug.test import Client

from nfml_jax.runs import projector
from nfml_jax.runs.events import EventWriter
from nfml_jax.runs.projector import make_sprite, write_embedding
from tests.runs.tensorboard_context import context


def test_the_projector_serves_points_labels_and_sprites(tmp_path):
    rng = np.random.default_rng(0)
    embeddings = rng.normal(size=(7, 3)).astype(np.float32)
    labels = ["a\tb", "c\nd", *"efghi"]
    images = rng.integers(0, 256, (7, 4, 4), dtype=np.uint8)
    EventWriter(tmp_path).close()  # makes the folder a run
    for step, points in ((1, embeddings + 1), (9, embeddings)):
        write_embedding(tmp_path, step, "test/all: first", points, labels, images)
    write_embedding(tmp_path, 9, "second", embeddings[:, :2], labels)

    apps = ProjectorPlugin(context(tmp_path)).get_plugin_apps()

    def get(route, **query):
        response = Client(apps[route]).get(route, query_string={"run": "."} | query)
        assert response.status_code == 200
        return response

    entries = {e["tensorName"]: e for e in json.loads(get("/info").data)["embeddings"]}
    assert set(entries) == {"test/all: first, step 9", "second, step 9"}
    assert entries["second, step 9"]["tensorShape"] == [7, 2]
    first = {"name": "test/all: first, step 9"}
    assert entries[first["name"]]["tensorShape"] == [7, 3]
    served = np.frombuffer(get("/tensor", **first).data, np.float32)
    np.testing.assert_allclose(served.reshape(7, 3), embeddings, rtol=1e-6)
    lines = get("/metadata", **first).data.decode().splitlines()
    assert lines == ["a b", "c d", *"efghi"]
    assert entries[first["name"]]["sprite"]["singleImageDim"] == [4, 4]
    sprite = Image.open(BytesIO(get("/sprite_image", **first).data))
    assert sprite.size == (12, 12)


def test_an_embedding_needs_a_label_for_every_row(tmp_path):
    with pytest.raises(ValueError, match="labels"):
        write_embedding(tmp_path, 0, "test", np.zeros((3, 2)), ["a", "b"])


@pytest.mark.parametrize("shape", [(1, 4, 4), (7, 5, 3, 3), (9, 2, 6, 1)])
def test_a_sprite_holds_each_image_in_its_cell(shape):
    images = np.random.default_rng(0).integers(1, 256, shape, dtype=np.uint8)
    sprite, side = make_sprite(images)
    count, height, width = shape[:3]
    columns = math.ceil(math.sqrt(count))
    assert side == max(height, width)
    assert sprite.size == (columns * side, columns * side)
    pixels = np.asarray(sprite)
    top, left = (side - height) // 2, (side - width) // 2
    images = np.broadcast_to(images.reshape(*shape[:3], -1), (*shape[:3], 3))
    total = 0
    for index, image in enumerate(images):
        row, column = divmod(index, columns)
        y, x = row * side + top, column * side + left
        np.testing.assert_array_equal(pixels[y : y + height, x : x + width], image)
        total += image.sum(dtype=int)
    # and nothing else
    assert pixels.sum(dtype=int) == total


def test_a_large_sprite_shrinks_to_what_tensorboard_takes(monkeypatch):
    monkeypatch.setattr(projector, "MAX_SPRITE_PIXELS", 64)
    sprite, side = make_sprite(np.full((10, 28, 28), 200, np.uint8))
    assert sprite.size == (4 * side, 4 * side)
    assert 32 < sprite.width <= 64
