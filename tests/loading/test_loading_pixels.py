"""A flow of images after training: its classes, its latents, and the commands.

Training has no part in it, so the flow's parameters are near those of its start.
"""

import dataclasses

import jax
import numpy as np
import pytest
from PIL import Image
from scipy.special import logsumexp

from nfml_jax import cli
from nfml_jax.cli import bits, interpolate, sample
from nfml_jax.data.look import Look
from nfml_jax.data.vectors.context import Context
from nfml_jax.errors import UserError
from nfml_jax.flows.recipes.images import make_image_flow
from nfml_jax.loading import load_pixel_flow
from nfml_jax.loading.pixels import TrainedPixelFlow
from tests.flows.filled import filled

SHAPE = 8, 8, 1
CLASSES = Context(classes=("cat", "dog", "owl"), prior=(0.5, 0.3, 0.2))


def drawn():
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (5, *SHAPE)).astype(np.uint8)


def new_model(context=None):
    options = {"recipe": "glow", "levels": 2, "steps": 1, "hidden": 4}
    size = context.size if context else 0
    flow = make_image_flow(SHAPE, options, context_dim=size)
    key, x = jax.random.key(0), drawn()
    given = [np.ones((len(x), size), np.float32) / size] if context else []
    variables = filled(jax.eval_shape(flow.init, key, x, key, *given))
    look = Look.of(SHAPE[:2], SHAPE[2])
    return TrainedPixelFlow(flow, variables, SHAPE, 256, 1, look, context)


@pytest.fixture(scope="module")
def plain():
    return new_model()


@pytest.fixture(scope="module")
def labeled():
    return new_model(CLASSES)


@pytest.fixture(scope="module")
def images():
    return drawn()


@pytest.fixture
def run(monkeypatch, plain, labeled, capsys):
    """A function that calls a command on a model, and returns its code and words."""

    def call(command, *arguments, model=plain):
        module = {"bits": bits, "interpolate": interpolate, "sample": sample}[command]
        monkeypatch.setattr(module, "load_pixel_flow", lambda run: model)
        code = cli.main([command, "RUN", *map(str, arguments)])
        return code, "".join(capsys.readouterr())

    return call


def save(image, path, mode=None):
    picture = Image.fromarray(image[..., 0])
    (picture.convert(mode) if mode else picture).save(path)
    return path


def test_classes_sum_to_the_density_of_their_mixture(labeled, images):
    each = [labeled.log_prob(images, 2, context=name) for name in CLASSES.classes]
    joint = np.stack(each, axis=1) + np.log(CLASSES.prior)
    whole = labeled.log_prob(images, 2)
    np.testing.assert_allclose(logsumexp(joint, axis=1), whole, rtol=1e-6)
    posterior = labeled.posterior(images, 2)
    np.testing.assert_allclose(posterior, np.exp(joint - whole[:, None]), rtol=1e-3)
    assert np.ptp(joint, axis=1).min() > 0.1  # the class matters
    own = labeled.bits_per_dim(images, 2, context=[0, 1, 2, 0, 1]).per_image
    expected = np.stack(each, axis=1)[np.arange(5), [0, 1, 2, 0, 1]]
    np.testing.assert_allclose(-own * 64 * np.log(2), expected)


def test_images_of_a_class_differ_from_those_of_another(labeled):
    cats = labeled.sample(0, 3, context="cat")
    np.testing.assert_array_equal(cats, labeled.sample(0, 3, context=0))
    mixed = labeled.sample(0, 3, context=["cat", "dog", "owl"])
    np.testing.assert_array_equal(mixed[0], cats[0])
    assert (mixed[1:] != cats[1:]).any(axis=(1, 2, 3)).all()
    drawn = labeled.sample(0, 3)  # classes by their shares
    assert drawn.shape == (3, *SHAPE)


def test_latents_of_a_class_give_its_images_back(labeled, images):
    latents = labeled.encode(images, "dog")
    np.testing.assert_array_equal(labeled.decode(latents, "dog"), images)
    line = labeled.interpolate(images[0], images[1], 4, context=("dog", "owl"))
    np.testing.assert_array_equal(line[[0, -1]], images[:2])
    direction = labeled.attribute(images[:2], images[2:], context=("dog", "owl"))
    assert direction.shape == SHAPE


def test_coarse_latents_are_kept_and_fine_ones_drawn(plain, images):
    assert np.bincount(plain.scales.ravel()).tolist() == [0, 32, 32]
    np.testing.assert_array_equal(plain.reconstruct(images, keep=2), images)
    coarse = plain.reconstruct(images, keep=1)
    again = np.where(plain.scales == 2, plain.encode(images), 0)
    np.testing.assert_array_equal(coarse, plain.decode(again))
    drawn = [plain.reconstruct(images, 1, 1.0, seed) for seed in (0, 0, 1)]
    np.testing.assert_array_equal(drawn[0], drawn[1])
    assert (drawn[0] != drawn[2]).any()


def test_labels_that_a_flow_cannot_take_are_a_sentence(plain, labeled, images):
    with pytest.raises(UserError, match=r"'dgo' .did you mean 'dog'.*cat, dog, owl"):
        labeled.sample(0, 1, context="dgo")
    with pytest.raises(UserError, match="labels range from 3 to 3"):
        labeled.encode(images, 3)
    with pytest.raises(UserError, match="conditional on the class and got none"):
        labeled.encode(images)
    with pytest.raises(UserError, match="expected one integer for each of the 5"):
        labeled.bits_per_dim(images, context=[0, 1])
    with pytest.raises(UserError, match=r"label 7 has no effect.*class_conditional"):
        plain.sample(0, 1, context=7)
    with pytest.raises(UserError, match="cannot classify"):
        plain.posterior(images)


def test_images_that_are_lost_are_counted_and_named(plain):
    lost = np.zeros((9, *SHAPE), np.float32)
    lost[3:] = np.inf
    with pytest.raises(UserError, match=r"6 of 9 .*\(number 3, 4, 5, 6, 7, ...\)"):
        plain.decode(lost)


def test_a_run_of_another_kind_is_a_sentence(monkeypatch):
    monkeypatch.setattr("nfml_jax.loading.run.load", lambda run, checkpoint: CLASSES)
    with pytest.raises(UserError, match=r"RUN holds a Context.*configs/images\.py"):
        load_pixel_flow("RUN")


def test_samples_are_written_in_each_format(run, tmp_path, plain, labeled):
    out = tmp_path / "new" / "grid.png"
    assert run("sample", "--n=5", f"--out={out}")[0] == 0
    assert Image.open(out).size == (24, 16)
    options = "--n=3", "--format=folder", f"--out={tmp_path / 'f'}", "--seed=2"
    assert run("sample", *options)[0] == 0
    pictures = sorted((tmp_path / "f").iterdir())
    read = np.stack([np.asarray(Image.open(path)) for path in pictures])
    np.testing.assert_array_equal(read[..., None], plain.sample(2, 3))
    options = "--n=3", "--format=npz", f"--out={tmp_path / 'a.npz'}", "--label=owl"
    assert run("sample", *options, model=labeled)[0] == 0
    found = np.load(tmp_path / "a.npz")["images"]
    np.testing.assert_array_equal(found, labeled.sample(0, 3, context=2))


def test_bits_of_files_folders_and_arrays_agree(run, tmp_path, plain, images):
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number, image in enumerate(images):
        save(image, folder / f"{number}.png")
    np.save(tmp_path / "all.npy", images)
    expected = plain.bits_per_dim(images, 2)
    for given in (folder, tmp_path / "all.npy"):
        code, words = run(
            "bits", given, "--samples=2", f"--output={tmp_path / 'b.csv'}"
        )
        assert code == 0 and str(expected) in words and "The most bits:" in words
        rows = (tmp_path / "b.csv").read_text().split()[1:]
        values = [float(row.split(",")[1]) for row in rows]
        np.testing.assert_allclose(values, expected.per_image, rtol=1e-5)


def test_a_line_between_pictures_begins_and_ends_with_them(run, tmp_path, images):
    a, b = (save(images[i], tmp_path / f"{i}.png") for i in (0, 1))
    out = tmp_path / "line.png"
    code, _ = run("interpolate", f"--from={a}", f"--to={b}", "--n=3", f"--out={out}")
    line = np.asarray(Image.open(out)).reshape(8, 3, 8)
    assert code == 0
    np.testing.assert_array_equal(
        line[:, [0, -1]], np.moveaxis(images[:2, ..., 0], 0, 1)
    )


def test_invalid_input_of_commands_gets_one_sentence(
    run, tmp_path, images, plain, labeled
):
    def refused(command, *arguments, **options):
        code, words = run(command, *arguments, **options)
        assert code == 2 and words.startswith("error: ") and words.count("\n") == 1
        return words

    (tmp_path / "empty").mkdir()
    gray = save(images[0], tmp_path / "gray.png")
    small = save(images[0, :4], tmp_path / "small.png")
    (tmp_path / "text.png").write_text("no picture")
    color = tmp_path / "color.png"
    Image.fromarray(np.repeat(images[0], 3, -1) * np.uint8([1, 1, 0])).save(color)
    nan = np.full((1, *SHAPE), np.nan)
    arrays = {"nan": nan, "two": np.full(SHAPE, 2.0), "rgb": images.repeat(3, -1)}
    for name, array in arrays.items():
        np.save(tmp_path / f"{name}.npy", array)
    assert "there is no file" in refused("bits", tmp_path / "none.png")
    assert "holds no picture" in refused("bits", tmp_path / "empty")
    assert "4×8 pixels" in refused("bits", gray, small)
    assert "has colors" in refused("bits", color)
    assert "cannot be read" in refused("bits", tmp_path / "text.png")
    assert "image 0 has NaN" in refused("bits", tmp_path / "nan.npy")
    assert "expected [0, 1)" in refused("bits", tmp_path / "two.npy")
    assert "height, width and channels" in refused("bits", tmp_path / "rgb.npy")
    few = dataclasses.replace(plain, levels=17)
    assert "give its images as .npy" in refused("bits", gray, model=few)
    np.save(tmp_path / "levels.npy", images[:1] * 0 + 17)
    words = refused("bits", tmp_path / "levels.npy", model=few)
    assert "set levels to 18 or more" in words
    assert "--samples=0" in refused("bits", gray, "--samples=0")
    assert "--temperature=-1.0" in refused("sample", "--temperature=-1")
    assert "--n=0" in refused("sample", "--n=0")
    assert "label 7 has no effect" in refused("sample", "--label=7")
    assert "no class 'cow'" in refused("sample", "--label=cow", model=labeled)
    assert "format 'gif'" in refused("sample", "--format=gif")
    folder = "--format=folder", f"--out={tmp_path / 'x'}"
    assert "--format=npz" in refused("sample", "--n=1", *folder, model=few)
    ends = f"--from={gray}", f"--to={gray}"
    assert "--n=1" in refused("interpolate", *ends, "--n=1")
    words = refused("interpolate", *ends, model=labeled)
    assert "conditional on the class" in words
    # With --fit, other pictures become such as the run's.
    assert run("bits", small, color, "--fit", "--samples=1")[0] == 0
