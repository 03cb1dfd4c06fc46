"""Baselines of runs as rows of their tables."""

import pytest

from nfml_jax.errors import UserError
from nfml_jax.runs.baselines import baseline_records
from nfml_jax.runs.tables import table


def record(name, seed=0, data="mnist", bz2=1.4, **config):
    metrics = {"test/bits_per_dim": 1.2, "bz2/bits_per_dim": bz2, "loss": 1.0}
    facts = {"status": "done", "seed": seed, "data": {"name": data}, "config": config}
    return {"name": name, "metrics": metrics, **facts}


def test_runs_on_the_same_data_share_one_row_of_a_baseline():
    records = [record("glow"), record("glow", seed=1), record("maf", steps=3)]
    records.append(record("glow", data="fashion_mnist", bz2=2.5))
    rows = table(
        records + baseline_records(records, ["bz2"]), ["test/bits_per_dim"]
    ).rows
    cells = {(words[0], i): cells[0].mean for i, (words, cells) in enumerate(rows)}
    assert list(cells.values()) == [1.2, 1.2, 1.2, 1.4, 2.5]
    assert [name for name, _ in cells][-2:] == ["bz2", "bz2"]


def test_a_baseline_has_none_of_the_run_s_own_numbers():
    records = [record("glow") | {"steps": 9, "cpu_s": 3.0}]
    made = table(records + baseline_records(records, ["bz2"]), ["cpu_s", "steps"])
    assert [cells[0].mean for _, cells in made.rows] == [3.0, None]


def test_an_unknown_baseline_is_a_sentence():
    with pytest.raises(UserError, match=r"no baseline|has a baseline 'bz3' .*'bz2'"):
        baseline_records([record("glow")], ["bz3"])
