"""What a run writes is read back: by ``read_metrics`` and by TensorBoard itself."""

import json
import math
from io import BytesIO

import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image
from tensorboard.backend.event_processing.data_provider import MultiplexerDataProvider
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.backend.event_processing.plugin_event_multiplexer import (
    EventMultiplexer,
)
from tensorboard.plugins import base_plugin
from tensorboard.plugins.hparams.hparams_plugin import HParamsPlugin
from tensorboard.plugins.projector.projector_plugin import ProjectorPlugin
from werkzeug.test import Client

from nfml_jax.errors import UserError
from nfml_jax.training import writers
from nfml_jax.training.writers import NullWriter, RunWriter, make_sprite, read_metrics


def accumulated(run_dir):
    accumulator = EventAccumulator(
        str(run_dir), size_guidance={"images": 0, "histograms": 0}
    )
    return accumulator.Reload()


def context(logdir):
    multiplexer = EventMultiplexer().AddRunsFromDirectory(str(logdir)).Reload()
    provider = MultiplexerDataProvider(multiplexer, str(logdir))
    return base_plugin.TBContext(
        logdir=str(logdir), multiplexer=multiplexer, data_provider=provider
    )


def loss(step):
    return {"train/loss": math.exp(-step), "test/tar@far=1e-3": step / 8}


def without_time(records):
    return [{k: v for k, v in r.items() if k != "time"} for r in records]


def series(run_dir, tag):
    return [(e.step, e.value) for e in accumulated(run_dir).Scalars(tag)]


def test_scalars_read_back_from_both_files_under_the_same_names(tmp_path):
    values = {"a": 0.1, "test/tar@far=1e-3": jnp.float32(0.2), "c d": np.float64(1e300)}
    with RunWriter(tmp_path) as writer:
        for step in range(3):
            writer.scalars(np.int64(step), values)
    records = read_metrics(tmp_path / "metrics.jsonl")
    expected = {name: float(value) for name, value in values.items()}
    assert without_time(records) == [{"step": s} | expected for s in range(3)]
    assert records[0]["time"] <= records[1]["time"] <= records[2]["time"]
    assert set(accumulated(tmp_path).Tags()["scalars"]) == set(values)
    for name, value in expected.items():
        with np.errstate(over="ignore"):
            single = float(np.float32(value))
        assert series(tmp_path, name) == [(s, single) for s in range(3)]


def test_every_line_is_on_disk_before_the_writer_closes(tmp_path):
    writer = RunWriter(tmp_path)
    writer.scalars(1, loss(1))
    assert len(read_metrics(tmp_path / "metrics.jsonl")) == 1
    assert len(series(tmp_path, "train/loss")) == 1
    writer.close()
    writer.close()


def test_numbers_that_json_lacks_survive(tmp_path):
    values = {"nan": math.nan, "up": math.inf, "down": -math.inf}
    with RunWriter(tmp_path) as writer:
        writer.scalars(0, values)
    with RunWriter(tmp_path, first_step=5):
        pass
    path = tmp_path / "metrics.jsonl"

    def refuse(constant):
        raise AssertionError(f"{constant} is not JSON")

    json.loads(path.read_text(), parse_constant=refuse)
    (record,) = read_metrics(path)
    np.testing.assert_equal([record[name] for name in values], list(values.values()))


@pytest.mark.parametrize("first_step", [0, 1, 3, 5])
def test_a_resumed_run_reads_like_an_uninterrupted_one(tmp_path, first_step):
    whole, resumed = tmp_path / "whole", tmp_path / "resumed"
    whole.mkdir()
    resumed.mkdir()

    def write(writer, steps):
        for step in steps:
            writer.scalars(step, loss(step))
            writer.histogram(step, "norms", np.arange(step + 2))
            writer.image(step, "figure", np.full((4, 4, 3), step, np.uint8))

    with RunWriter(whole) as writer:
        write(writer, range(8))
    # Killed after step 5, and what it wrote after the checkpoint is different.
    writer = RunWriter(resumed)
    again = first_step + 1 if first_step else 0
    write(writer, range(again))
    for step in range(again, 6):
        writer.scalars(step, {"train/loss": -1.0, "test/tar@far=1e-3": -1.0})
    writer.close()
    with RunWriter(resumed, first_step=first_step) as writer:
        write(writer, range(again, 8))

    records = [read_metrics(path / "metrics.jsonl") for path in (whole, resumed)]
    assert without_time(records[0]) == without_time(records[1])
    one, other = accumulated(whole), accumulated(resumed)
    for tag in loss(0):
        assert series(whole, tag) == series(resumed, tag)
    assert [h.step for h in other.Histograms("norms")] == list(range(8))
    assert [(i.step, i.encoded_image_string) for i in one.Images("figure")] == [
        (i.step, i.encoded_image_string) for i in other.Images("figure")
    ]


@pytest.mark.parametrize("torn", [b'{"step": 3, "ti', b"\0\0\0\0", b"{", b"\xff\xfe"])
def test_a_torn_last_line_is_left_out_and_mended_on_resume(tmp_path, torn):
    path = tmp_path / "metrics.jsonl"
    with RunWriter(tmp_path) as writer:
        for step in (1, 2):
            writer.scalars(step, loss(step))
    with path.open("ab") as file:
        file.write(torn)
    assert [r["step"] for r in read_metrics(path)] == [1, 2]
    with RunWriter(tmp_path, first_step=2) as writer:
        writer.scalars(3, loss(3))
    assert [r["step"] for r in read_metrics(path)] == [1, 2, 3]
    assert path.read_bytes().endswith(b"\n")


def test_a_whole_last_line_without_its_newline_counts(tmp_path):
    path = tmp_path / "metrics.jsonl"
    with RunWriter(tmp_path) as writer:
        writer.scalars(1, loss(1))
    path.write_text(path.read_text().rstrip("\n"))
    assert [r["step"] for r in read_metrics(path)] == [1]
    with RunWriter(tmp_path, first_step=1) as writer:
        writer.scalars(2, loss(2))
    assert [r["step"] for r in read_metrics(path)] == [1, 2]


@pytest.mark.parametrize("line", ["nonsense", "[1]", '{"time": 1}', '{"step": null}'])
def test_a_bad_line_amid_good_ones_is_named(tmp_path, line):
    path = tmp_path / "metrics.jsonl"
    path.write_text(f'{{"step": 1, "time": 0}}\n{line}\n{{"step": 2, "time": 0}}\n')
    with pytest.raises(UserError, match="line 2"):
        read_metrics(path)


def test_missing_metrics_are_the_users_to_mend(tmp_path):
    with pytest.raises(UserError, match=r"metrics\.jsonl"):
        read_metrics(tmp_path / "metrics.jsonl")


@pytest.mark.parametrize(
    "values",
    [
        np.random.default_rng(0).normal(size=(7, 11)),
        np.zeros(5),
        np.arange(9),
        jnp.linspace(-90, 90, 33, dtype=jnp.bfloat16),
        np.array([1.0, np.nan, np.inf, 2.0]),
    ],
    ids=["normal", "constant", "integers", "bfloat16", "not finite"],
)
def test_a_histogram_keeps_count_range_and_sums(tmp_path, values):
    with RunWriter(tmp_path) as writer:
        writer.histogram(4, "train/norms", values)
        writer.histogram(5, "train/norms", np.full(3, np.nan))
    (event,) = accumulated(tmp_path).Histograms("train/norms")
    finite = np.asarray(values).astype(float).ravel()
    finite = finite[np.isfinite(finite)]
    found = event.histogram_value
    assert event.step == 4
    assert sum(found.bucket) == found.num == finite.size
    np.testing.assert_allclose(
        [found.min, found.max, found.sum, found.sum_squares],
        [finite.min(), finite.max(), finite.sum(), (finite**2).sum()],
    )
    # Each bucket holds the values up to its limit.
    below = [(finite <= limit + 1e-9).sum() for limit in found.bucket_limit]
    assert below[-1] == finite.size
    assert np.all(np.cumsum(found.bucket) <= below)


def test_an_image_comes_back_pixel_for_pixel(tmp_path):
    rgb = np.random.default_rng(0).integers(0, 256, (5, 9, 3), dtype=np.uint8)
    with RunWriter(tmp_path) as writer:
        writer.image(2, "figures/roc", rgb)
        for wrong in (rgb / 255, rgb[..., 0], rgb[..., :2]):
            with pytest.raises(ValueError, match="uint8"):
                writer.image(2, "figures/roc", wrong)
    (event,) = accumulated(tmp_path).Images("figures/roc")
    assert (event.step, event.height, event.width) == (2, 5, 9)
    image = Image.open(BytesIO(event.encoded_image_string))
    np.testing.assert_array_equal(np.asarray(image), rgb)


def test_a_text_comes_back(tmp_path):
    with RunWriter(tmp_path) as writer:
        writer.text(1, "config", "**θ** + m")
    accumulator = accumulated(tmp_path)
    (event,) = accumulator.Tensors("config")
    assert event.tensor_proto.string_val[0].decode() == "**θ** + m"
    assert accumulator.SummaryMetadata("config").plugin_data.plugin_name == "text"


HPARAMS = {
    "seed": 3,
    "head.margin": 0.5,
    "head.name": "arcface",
    "nesterov": True,
    "widths": (32, 64),
    "average": None,
}


def session_groups(logdir):
    """What TensorBoard's HParams page shows."""
    apps = HParamsPlugin(context(logdir)).get_plugin_apps()

    def post(route, **request):
        response = Client(apps[route]).post(route, json=request)
        assert response.status_code == 200
        return json.loads(response.data)

    experiment = post("/experiment")
    groups = post(
        "/session_groups",
        sliceSize=10,
        colParams=[{"metric": info["name"]} for info in experiment["metricInfos"]],
        allowedStatuses=[
            "STATUS_UNKNOWN",
            "STATUS_SUCCESS",
            "STATUS_FAILURE",
            "STATUS_RUNNING",
        ],
    )
    return experiment, groups["sessionGroups"]


@pytest.mark.parametrize("below", [".", "mnist/a"])
def test_hparams_are_a_row_with_final_metrics_in_the_same_run(tmp_path, below):
    run_dir = tmp_path / below
    run_dir.mkdir(parents=True, exist_ok=True)
    metrics = ["test/accuracy", "test/tar@far=1e-3"]
    with RunWriter(run_dir) as writer:
        writer.scalars(1, dict.fromkeys(metrics, 0.25))
        writer.hparams(HPARAMS, metrics)
        writer.scalars(2, dict.fromkeys(metrics, 0.75))
    assert len(list(tmp_path.rglob("events.out.tfevents.*"))) == 1

    experiment, (group,) = session_groups(tmp_path)
    assert {info["name"] for info in experiment["hparamInfos"]} == set(HPARAMS)
    assert [info["name"]["tag"] for info in experiment["metricInfos"]] == metrics
    assert group["hparams"] == HPARAMS | {"widths": "(32, 64)", "average": "None"}
    assert group["hparams"]["nesterov"] is True
    values = {value["name"]["tag"]: value["value"] for value in group["metricValues"]}
    assert values == dict.fromkeys(metrics, 0.75)
    (session,) = group["sessions"]
    assert session["status"] == "STATUS_SUCCESS"
    assert 0 < session["startTimeSecs"] <= session["endTimeSecs"]


def test_two_runs_of_equal_hparams_stay_two_rows(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        with RunWriter(tmp_path / name) as writer:
            writer.scalars(1, {"test/accuracy": 0.5})
            writer.hparams(HPARAMS, ["test/accuracy"])
    _, groups = session_groups(tmp_path)
    assert sorted(len(group["sessions"]) for group in groups) == [1, 1]


def statuses(logdir):
    _, groups = session_groups(logdir)
    return [session.get("status") for group in groups for session in group["sessions"]]


def test_a_failed_run_succeeds_once_it_is_resumed(tmp_path):
    with pytest.raises(RuntimeError), RunWriter(tmp_path) as writer:
        writer.scalars(1, {"test/accuracy": 0.25})
        writer.hparams(HPARAMS, ["test/accuracy"])
        raise RuntimeError
    assert statuses(tmp_path) != ["STATUS_SUCCESS"]
    with RunWriter(tmp_path, first_step=1) as writer:
        writer.hparams(HPARAMS, ["test/accuracy"])
        writer.scalars(2, {"test/accuracy": 0.75})
    assert statuses(tmp_path) == ["STATUS_SUCCESS"]


def test_the_projector_serves_points_labels_and_sprites(tmp_path):
    rng = np.random.default_rng(0)
    embeddings = rng.normal(size=(7, 3)).astype(np.float32)
    labels = ["a\tb", "c\nd", *"efghi"]
    images = rng.integers(0, 256, (7, 4, 4), dtype=np.uint8)
    with RunWriter(tmp_path) as writer:
        writer.embedding(1, "test/all: first", embeddings + 1, labels, images)
        writer.embedding(9, "test/all: first", embeddings, labels, images)
    # An earlier process's embedding stays.
    with RunWriter(tmp_path, first_step=9) as writer:
        writer.embedding(9, "second", embeddings[:, :2], labels)

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
    with RunWriter(tmp_path) as writer, pytest.raises(ValueError, match="labels"):
        writer.embedding(0, "test", np.zeros((3, 2)), ["a", "b"])


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
    monkeypatch.setattr(writers, "MAX_SPRITE_PIXELS", 64)
    sprite, side = make_sprite(np.full((10, 28, 28), 200, np.uint8))
    assert sprite.size == (4 * side, 4 * side)
    assert 32 < sprite.width <= 64


def test_the_null_writer_takes_every_call_and_writes_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with NullWriter() as writer:
        writer.scalars(0, {"a": 1.0})
        writer.histogram(0, "a", np.zeros(3))
        writer.image(0, "a", np.zeros((2, 2, 3), np.uint8))
        writer.text(0, "a", "b")
        writer.hparams({}, [])
        writer.embedding(0, "a", np.zeros((1, 2)), ["b"])
    assert not list(tmp_path.iterdir())
