"""Identities whose class weights two devices share; run by tests/test_devices.py."""

import importlib.util
import os
import signal
from pathlib import Path

import jax
import numpy as np
import pytest
from jax.sharding import PartitionSpec as P

from experiments.identities import IdentitiesExperiment
from nfml_jax.ops.devices import SPLIT
from nfml_jax.runs.writers import read_metrics
from nfml_jax.training.checkpoints import Checkpoints
from nfml_jax.training.loop import train_and_evaluate
from nfml_jax.training.setup import Setup
from nfml_jax.training.sharding import AXIS

CONFIG = Path(__file__).parents[2] / "configs" / "million_identities.py"


def config(**changes):
    spec = importlib.util.spec_from_file_location("config", CONFIG)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    config = module.get_config("smoke")
    small = {"encoder.embedding_size": 16, "encoder.hidden": (32,)}
    small |= {"identities.size": 32, "identities.traits": 8}
    small |= {"identities.circumstances": 8, "head.class_chunk": 40}
    config.update_from_flattened_dict(small | changes)
    return config.to_dict()


def weights_of(path):
    with Checkpoints(path / "checkpoints") as saved:
        variables, _ = saved.restore_model()
    return variables["params"]["head"][SPLIT + "weights"]


class Stopped(IdentitiesExperiment):
    def validate(self, variables, apply):
        os.kill(os.getpid(), signal.SIGTERM)
        return super().validate(variables, apply)


def test_one_device_does_what_two_do_even_if_they_are_stopped_in_between(tmp_path):
    changes = {"optimizer.clip_norm": 5.0, "optimizer.weight_decay": 1e-3}
    two, one = tmp_path / "two", tmp_path / "one"
    first = train_and_evaluate(Stopped, config(**changes), two)
    assert first.status == "interrupted"
    second = train_and_evaluate(IdentitiesExperiment, config(**changes), two)
    alone = train_and_evaluate(
        IdentitiesExperiment, config(num_devices=1, **changes), one
    )
    np.testing.assert_allclose(weights_of(two), weights_of(one), atol=2e-3)
    angles = (r.result["metrics"]["test/target_angle"] for r in (second, alone))
    assert next(angles) == pytest.approx(next(angles), abs=0.1)
    norms = (
        [line["train/grad_norm/head"] for line in lines if "train/loss" in line]
        for lines in (read_metrics(run / "metrics.jsonl") for run in (two, one))
    )
    np.testing.assert_allclose(*norms, rtol=1e-3)


def test_weights_and_what_follows_them_lie_split():
    setup = Setup(
        IdentitiesExperiment, config(**{"train.average_decay": 0.9}), jax.devices()
    )
    split = {
        jax.tree_util.keystr(path, simple=True, separator="/")
        for path, leaf in jax.tree_util.tree_leaves_with_path(setup.state())
        if leaf.sharding.spec == P(AXIS)
    }
    ends = {"params", "optimizer/0/trace", "average/params"}
    assert {f"{end}/head/{SPLIT}weights" for end in ends} == split


def test_the_header_names_a_sample_of_the_classes():
    experiment = IdentitiesExperiment(config(**{"head.class_share": 0.25}))
    assert "over 0.25 of them, drawn at each step" in experiment.describe()["loss"]
    assert experiment.model()["softmax"] == "Partial FC, 0.25"
