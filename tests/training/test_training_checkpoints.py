"""Checkpoints: intact ones are found, and only damaged ones are set aside and named."""

import functools
import json
import logging
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from nfml_jax.errors import UserError
from nfml_jax.training.checkpoints import Checkpoints
from nfml_jax.training.step import init_state
from tests.slow import slow


@functools.cache
def state(step, inputs=3):
    params = {"head": {"w": jnp.full(inputs, float(step))}}
    constants = {"order": jnp.arange(3), "bound": jnp.array(-jnp.inf)}
    variables = {"params": params, "constants": constants}
    fresh = init_state(variables, optax.adam(0.1), average=True)
    return fresh.replace(step=jnp.int32(step))


@pytest.fixture
def folder(tmp_path):
    with Checkpoints(tmp_path / "checkpoints", write=True) as checkpoints:
        for step in (6, 12, 18):
            checkpoints.save(step, state(step), {"note": step})
    return tmp_path / "checkpoints"


def damage(folder, step):
    for part in (folder / str(step)).rglob("d/*"):
        part.write_bytes(part.read_bytes()[:-20] + bytes(20))


def restore(folder, like=None):
    with Checkpoints(folder, write=True) as checkpoints:
        return checkpoints.restore(state(0) if like is None else like)


def test_the_last_two_are_kept_and_the_newest_comes_back(folder):
    assert {p.name for p in folder.glob("[0-9]*")} == {"12", "18"}
    found, meta = restore(folder)
    assert meta["note"] == meta["step"] == 18
    assert jax.tree.structure(found) == jax.tree.structure(state(18))
    jax.tree.map(np.testing.assert_array_equal, found, state(18))
    assert jax.tree.map(lambda x: x.dtype, found) == jax.tree.map(
        lambda x: x.dtype, state(18)
    )


def test_the_best_checkpoint_is_retained_across_processes(tmp_path):
    fits = {6: 1.0, 12: 5.0, 18: 5.0, 24: None, 30: 2.0, 36: 3.0, 42: None}
    for step, fit in fits.items():
        metrics = None if fit is None else {"fit": fit}
        with Checkpoints(tmp_path, best="fit", write=True) as checkpoints:
            checkpoints.save(step, state(step), {}, metrics)
    with Checkpoints(tmp_path, best="fit") as checkpoints:
        assert checkpoints.all_steps() == [42, 36, 12]
        assert checkpoints.best_step() == 12
        assert checkpoints.restore_model("best")[1]["step"] == 12


def test_no_checkpoint_is_not_an_error(tmp_path):
    assert restore(tmp_path / "checkpoints") is None


def test_a_damaged_checkpoint_is_set_aside_for_the_previous_one(folder):
    damage(folder, 18)
    with pytest.warns(UserWarning, match="Checkpoint 18 is damaged"):
        _, meta = restore(folder)
    assert meta["step"] == 12
    assert (folder.parent / "damaged" / "18").is_dir()
    assert {p.name for p in folder.glob("[0-9]*")} == {"12"}


def test_if_none_is_intact_nothing_is_moved_or_started(folder):
    damage(folder, 12)
    damage(folder, 18)
    for _ in range(2):
        with pytest.raises(UserError, match=r"no checkpoint in .* \(18: .*; 12: .*\)"):
            restore(folder)
    assert {p.name for p in folder.glob("[0-9]*")} == {"12", "18"}


def cut(share):
    return lambda path: path.write_bytes(
        path.read_bytes()[: int(path.stat().st_size * share)]
    )


def a_folder(path):
    path.unlink()
    path.mkdir()


WAYS = {
    "emptied": cut(0),
    "cut in half": cut(0.5),
    "gone": lambda path: path.unlink(),
    "a folder": a_folder,
    "of another kind": lambda path: path.write_text("[1]"),
}


@pytest.mark.parametrize("way", slow(WAYS, ["emptied", "of another kind", "a folder"]))
def test_any_file_of_a_checkpoint_may_be_damaged(folder, way):
    whole = folder.with_name("whole")
    shutil.copytree(folder / "18", whole)
    meta = "meta/metadata"
    for pattern in (meta, "model/_METADATA", "model/manifest.ocdbt", "model/**/d/*"):
        for file in list((folder / "18").glob(pattern)):
            WAYS[way](file)
        with Checkpoints(folder) as checkpoints, pytest.warns(match="18 is damaged"):
            assert checkpoints.restore_model()[1]["step"] == 12
        shutil.rmtree(folder / "18")
        shutil.copytree(whole, folder / "18")
    WAYS[way](folder / "18" / meta)
    with pytest.warns(match="Checkpoint 18 is damaged"):
        assert restore(folder)[1]["step"] == 12


def test_a_checkpoint_with_wrong_meta_is_damaged(folder):
    place = folder / "18" / "meta" / "metadata"
    meta = json.loads(place.read_text())
    for name, value in (
        ("step", "18"),
        ("model", []),
        ("leaves", None),
        ("checksums", {"model": "x", "optimizer": 0}),
        ("meter", {"count": -1}),
        ("lines", None),
        ("wall_s", "long"),
    ):
        place.write_text(json.dumps(meta | {name: value}))
        with Checkpoints(folder) as checkpoints, pytest.warns(match="18 is damaged"):
            assert checkpoints.restore_model()[1]["step"] == 12


@pytest.mark.parametrize(
    "text", ["[]", '{"commit_timestamp_nsecs": "late"}', '{"item_handlers": [1]}']
)
def test_a_checkpoint_that_stops_orbax_from_listing_is_damaged(folder, text):
    damaged = folder / "18" / "_CHECKPOINT_METADATA"
    damaged.write_text(text)
    with Checkpoints(folder) as checkpoints, pytest.warns(match="18 is damaged"):
        assert checkpoints.all_steps() == [18, 12]
        assert checkpoints.restore_model()[1]["step"] == 12
    assert damaged.read_text() == text
    with pytest.warns(UserWarning, match=r"18 is damaged \(its _CHECKPOINT_METADATA"):
        assert restore(folder)[1]["step"] == 12
    assert {p.name for p in folder.glob("[0-9]*")} == {"12"}
    with Checkpoints(folder, write=True) as checkpoints:
        checkpoints.save(18, state(18), {})
    assert restore(folder)[1]["step"] == 18
    # Without another one there is nothing to go back to.
    for step in ("12", "18"):
        (folder / step / "_CHECKPOINT_METADATA").write_text(text)
    with pytest.raises(UserError, match=r"no checkpoint in .* \(18: its _CHECK"):
        restore(folder)


def test_a_file_in_place_of_the_checkpoints_gets_a_sentence(tmp_path):
    (tmp_path / "file").write_text("text")
    with pytest.raises(UserError, match="is a file"):
        Checkpoints(tmp_path / "file", write=True)


def test_a_checkpoint_of_another_model_is_not_damage(folder):
    sentence = r"params/head/w is 'float32\[3\]' there and 'float32\[4\]' here"
    with pytest.raises(UserError, match=sentence):
        restore(folder, state(0, inputs=4))
    assert not (folder.parent / "damaged").exists()


def bare(cause):
    """An exception as orbax raises it for whatever befell an array."""
    problem = Exception("Encountered error while reading")
    problem.__cause__ = cause
    return problem


@pytest.mark.parametrize(
    "problem, seen",
    [
        (PermissionError(13, "Permission denied"), UserError),
        (ValueError("PERMISSION_DENIED: Error opening"), UserError),
        (bare(ValueError("PERMISSION_DENIED: Error opening")), UserError),
        (bare(OSError(24, "Too many open files")), UserError),
        (bare(MemoryError()), Exception),
        (MemoryError(), MemoryError),
    ],
)
def test_an_unreadable_file_is_not_damage(folder, monkeypatch, problem, seen):
    def fail(*_):
        raise problem

    monkeypatch.setattr(Checkpoints, "_meta", fail)
    with pytest.raises(seen):
        restore(folder)
    assert not (folder.parent / "damaged").exists()


def test_reading_changes_nothing_and_writing_clears_what_killed_saves_left(folder):
    left = folder / "24.orbax-checkpoint-tmp"
    left.mkdir()
    before = sorted(folder.rglob("*"))
    level = logging.getLogger("absl").level
    with Checkpoints(folder) as checkpoints:
        variables, meta = checkpoints.restore_model()
    np.testing.assert_array_equal(variables["params"]["head"]["w"], np.full(3, 18.0))
    assert meta["step"] == 18
    assert sorted(folder.rglob("*")) == before
    assert restore(folder)[1]["step"] == 18
    assert not left.exists()
    assert logging.getLogger("absl").level == level


def test_reading_skips_a_damaged_checkpoint(folder):
    damage(folder, 18)
    with (
        Checkpoints(folder) as checkpoints,
        pytest.warns(UserWarning, match="18 is damaged"),
    ):
        assert checkpoints.restore_model()[1]["step"] == 12
    assert (folder / "18").is_dir()
