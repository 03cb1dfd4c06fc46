"""Events are read back by TensorBoard itself."""

import json
from io import BytesIO

import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams.hparams_plugin import HParamsPlugin
from werkzeug.test import Client

from nfml_jax.runs.events import EventWriter
from tests.runs.tensorboard_context import context


def accumulated(run_dir):
    accumulator = EventAccumulator(
        str(run_dir), size_guidance={"images": 0, "histograms": 0}
    )
    return accumulator.Reload()


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
    with EventWriter(tmp_path) as writer:
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
    with EventWriter(tmp_path) as writer:
        writer.image(2, "figures/roc", rgb)
        for wrong in (rgb / 255, rgb[..., 0], rgb[..., :2]):
            with pytest.raises(ValueError, match="uint8"):
                writer.image(2, "figures/roc", wrong)
    (event,) = accumulated(tmp_path).Images("figures/roc")
    assert (event.step, event.height, event.width) == (2, 5, 9)
    image = Image.open(BytesIO(event.encoded_image_string))
    np.testing.assert_array_equal(np.asarray(image), rgb)


HPARAMS = {
    "seed": 3,
    "head.margin": 0.5,
    "head.name": "arcface",
    "nesterov": True,
    "widths": (32, 64),
    "average": None,
}


def session_groups(logdir):
    """Return the session groups of TensorBoard's HParams page."""
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
    with EventWriter(run_dir) as writer:
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


def test_a_run_that_diverged_is_a_row_until_a_retry_ends_it(tmp_path):
    with EventWriter(tmp_path) as writer:
        writer.scalars(1, {"train/loss": 2.0})
        writer.hparams(HPARAMS, done=False)
    assert statuses(tmp_path) in (["STATUS_UNKNOWN"], [None])
    with EventWriter(tmp_path) as writer:
        writer.scalars(1, {"train/loss": 1.0})
        writer.hparams(HPARAMS)
    assert statuses(tmp_path) == ["STATUS_SUCCESS"]


def test_two_runs_of_equal_hparams_stay_two_rows(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        with EventWriter(tmp_path / name) as writer:
            writer.scalars(1, {"test/accuracy": 0.5})
            writer.hparams(HPARAMS, ["test/accuracy"])
    _, groups = session_groups(tmp_path)
    assert sorted(len(group["sessions"]) for group in groups) == [1, 1]


def test_fields_that_a_sweep_varies_come_first(tmp_path):
    for seed in range(2):
        for rate in (0.1, 0.2):
            path = tmp_path / f"{rate}-{seed}"
            path.mkdir()
            with EventWriter(path) as writer:
                writer.scalars(1, {"test/accuracy": rate})
                writer.hparams(HPARAMS | {"seed": seed, "optimizer.rate": rate})
    experiment, groups = session_groups(tmp_path)
    columns = [info["name"] for info in experiment["hparamInfos"]]
    assert columns[:2] == ["optimizer.rate", "seed"] and len(columns) == 7
    assert len(groups) == 4


def statuses(logdir):
    _, groups = session_groups(logdir)
    return [session.get("status") for group in groups for session in group["sessions"]]


def test_a_failed_run_succeeds_once_it_is_resumed(tmp_path):
    with pytest.raises(RuntimeError), EventWriter(tmp_path) as writer:
        writer.scalars(1, {"test/accuracy": 0.25})
        writer.hparams(HPARAMS, ["test/accuracy"])
        raise RuntimeError
    assert statuses(tmp_path) != ["STATUS_SUCCESS"]
    with EventWriter(tmp_path, first_step=1) as writer:
        writer.hparams(HPARAMS, ["test/accuracy"])
        writer.scalars(2, {"test/accuracy": 0.75})
    assert statuses(tmp_path) == ["STATUS_SUCCESS"]


def test_a_setting_may_have_bytes_that_are_no_utf8(tmp_path):
    writer = EventWriter(tmp_path, first_step=0)
    writer.hparams({"data.root": "/photos/Ren\udce9"}, None)
    writer.close()
    (events,) = tmp_path.glob("events*")
    assert rb"/photos/Ren\udce9" in events.read_bytes()
