"""Logs of a run are read back by `read_metrics` and by TensorBoard itself."""

import json
import math

import jax.numpy as jnp
import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from nfml_jax.errors import UserError
from nfml_jax.runs.writers import RunWriter, read_metrics


def accumulated(run_dir):
    accumulator = EventAccumulator(
        str(run_dir), size_guidance={"images": 0, "histograms": 0}
    )
    return accumulator.Reload()


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
    with RunWriter(tmp_path, first_step=5, lines=1):
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
    lines = writer.lines
    for step in range(again, 6):
        writer.scalars(step, {"train/loss": -1.0, "test/tar@far=1e-3": -1.0})
    writer.close()
    with RunWriter(resumed, first_step=first_step, lines=lines) as writer:
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
def test_an_incomplete_last_line_is_dropped_and_repaired_on_resume(tmp_path, torn):
    path = tmp_path / "metrics.jsonl"
    with RunWriter(tmp_path) as writer:
        for step in (1, 2):
            writer.scalars(step, loss(step))
    with path.open("ab") as file:
        file.write(torn)
    assert [r["step"] for r in read_metrics(path)] == [1, 2]
    with RunWriter(tmp_path, first_step=2, lines=2) as writer:
        writer.scalars(3, loss(3))
    assert [r["step"] for r in read_metrics(path)] == [1, 2, 3]
    assert path.read_bytes().endswith(b"\n")


def test_a_complete_last_line_without_newline_counts(tmp_path):
    path = tmp_path / "metrics.jsonl"
    with RunWriter(tmp_path) as writer:
        writer.scalars(1, loss(1))
    path.write_text(path.read_text().rstrip("\n"))
    assert [r["step"] for r in read_metrics(path)] == [1]
    with RunWriter(tmp_path, first_step=1, lines=1) as writer:
        writer.scalars(2, loss(2))
    assert [r["step"] for r in read_metrics(path)] == [1, 2]


@pytest.mark.parametrize("line", ["nonsense", "[1]", '{"time": 1}', '{"step": null}'])
def test_a_bad_line_amid_good_ones_is_named(tmp_path, line):
    path = tmp_path / "metrics.jsonl"
    path.write_text(f'{{"step": 1, "time": 0}}\n{line}\n{{"step": 2, "time": 0}}\n')
    with pytest.raises(UserError, match="line 2"):
        read_metrics(path)


def test_missing_metrics_are_a_user_error(tmp_path):
    with pytest.raises(UserError, match=r"metrics\.jsonl"):
        read_metrics(tmp_path / "metrics.jsonl")
