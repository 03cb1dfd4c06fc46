"""Images that stay on disk give the batches that images in memory give."""

import shutil
from importlib.util import find_spec

import jax
import numpy as np
import pytest
from jax.sharding import PartitionSpec as P
from PIL import Image

from nfml_jax.data import load
from nfml_jax.data.samplers import make_sampler
from nfml_jax.data.stored import StoredImages
from nfml_jax.errors import UserError
from nfml_jax.training import sharding, streams
from nfml_jax.training.feeds import ResidentFeed
from nfml_jax.training.sharding import AXIS
from nfml_jax.training.streams import StreamedFeed


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("pictures")
    rng = np.random.default_rng(0)
    for number in range(23):
        folder = root / "abc"[number % 3]
        folder.mkdir(exist_ok=True)
        pixels = rng.integers(0, 256, (9, 11), np.uint8)
        Image.fromarray(pixels).save(folder / f"{number:02}.png")
    return root


def loaded(root, **options):
    return load("image_folder", root=str(root), image_size=8, **options)


def arrays_of(images):
    return {"image": images.train.images, "label": images.train.labels}


def test_stored_images_are_the_images(root):
    stored, held = loaded(root, stream=True), loaded(root)
    images = stored.train.images
    assert isinstance(images, StoredImages) and images.shape == held.train.images.shape
    np.testing.assert_array_equal(images, held.train.images)
    np.testing.assert_array_equal(images[3], held.train.images[3])
    np.testing.assert_array_equal(images[2:5][[2, 0]], held.train.images[[4, 2]])
    np.testing.assert_array_equal(stored.test.images, held.test.images)
    again = loaded(root, stream=True)
    assert stored.digest == again.digest != held.digest
    assert stored.fingerprint == again.fingerprint != held.fingerprint


def test_replaced_files_of_equal_size_are_other_data(tmp_path):
    for name in "ab":
        (tmp_path / name).mkdir()
        for number in range(3):
            image = Image.new("L", (8, 8), 40 * number + 100 * (name == "b"))
            image.save(tmp_path / name / f"{number}.bmp")
    before = loaded(tmp_path, stream=True, channels=1).summary()
    for pair in ((tmp_path / "a", tmp_path / "c"), (tmp_path / "b", tmp_path / "a")):
        pair[0].rename(pair[1])
    (tmp_path / "c").rename(tmp_path / "b")
    after = loaded(tmp_path, stream=True, channels=1).summary()
    assert before["digest"] == after["digest"]
    assert before["fingerprint"] != after["fingerprint"]


@pytest.mark.skipif(find_spec("grain") is None, reason="grain is not installed")
@pytest.mark.parametrize(
    "per_class, workers",
    [(None, 0), (2, 0), pytest.param(2, 1, marks=pytest.mark.slow)],
)
def test_streamed_batches_are_those_in_memory(root, monkeypatch, per_class, workers):
    # So few examples a pipeline that several are begun.
    monkeypatch.setattr(streams, "EXAMPLES", 40)
    key, mesh = jax.random.key(1), sharding.make_mesh(jax.devices()[:1])
    stored, held = loaded(root, stream=True), loaded(root)
    sampler = make_sampler(held.train.labels, per_class=per_class)
    options = {"ahead": 4, "sampler": sampler}

    def batches(feed, steps):
        specs = (P(), feed.spec, P())
        take = sharding.per_device(feed.take, mesh, specs, (P(AXIS), P(AXIS)))
        return {
            step: jax.device_get(take(feed.resident, feed.chunk(step), step))
            for step in steps
        }

    streamed = StreamedFeed(arrays_of(stored), 6, key, mesh, workers=workers, **options)
    resident = ResidentFeed(arrays_of(held), 6, key, mesh, **options)
    assert streamed.steps_per_epoch == resident.steps_per_epoch and streamed.window == 4
    expected = batches(resident, range(14))
    jax.tree.map(np.testing.assert_array_equal, batches(streamed, range(14)), expected)
    # From any step on come the batches that would have come.
    again = StreamedFeed(arrays_of(stored), 6, key, mesh, **options)
    for step, batch in batches(again, range(7, 14)).items():
        jax.tree.map(np.testing.assert_array_equal, batch, expected[step])


def test_mistakes(root, tmp_path):
    with pytest.raises(UserError, match=r"data\.stream reads from a folder"):
        loaded(shutil.make_archive(tmp_path / "pictures", "zip", root), stream=True)
    with pytest.raises(UserError, match=r"data\.workers is -1"):
        loaded(root, stream=True, workers=-1)
    broken = tmp_path / "broken"
    for name in "ab":
        (broken / name).mkdir(parents=True)
        (broken / name / "1.png").write_bytes(b"no picture")
        (broken / name / "2.png").write_bytes(b"no picture")
    with pytest.raises(UserError, match="3 files that cannot be read as images"):
        np.asarray(loaded(broken, stream=True).train.images)
