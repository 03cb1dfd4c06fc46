"""Made-up identities: what they are, and that training on them is seen to work."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.identities import IdentitiesExperiment
from nfml_jax.errors import UserError
from nfml_jax.runs.writers import read_metrics
from nfml_jax.synthetic.identities import Identities
from nfml_jax.training.loop import train_and_evaluate
from tests.experiments.identities_devices import config


# tests/test_devices.py trains them on two devices and on one.
@pytest.mark.slow
def test_it_learns(tmp_path):
    """Angles to target weights fall, and unknown identities separate better."""
    outcome = train_and_evaluate(
        IdentitiesExperiment,
        config(
            **{"train.total": "400 steps", "train.evaluate_every": "100 steps"},
            **{"train.checkpoint_every": None, "train.steps_per_dispatch": 100},
            **{"train.batch_size": 128, "train.log_every": "100 steps"},
        ),
        tmp_path,
    )
    metrics = outcome.result["metrics"]
    name = "validation/target_angle"
    angles = [
        line[name] for line in read_metrics(tmp_path / "metrics.jsonl") if name in line
    ]
    assert angles[-1] < angles[0] - 5.0
    for who in ("known", "strangers"):
        assert metrics[f"test/{who}/rank1"] > metrics[f"test/{who}/rank1_of_views"]


def test_an_identity_has_the_same_traits_whenever_it_is_seen():
    quiet = Identities(size=16, traits=4, circumstances=4, disturbance=0.0, noise=0.0)
    keys = jax.random.split(jax.random.key(0), 4)
    views = quiet.views(jnp.array([7, 7, 8, 3_000_000]), keys)
    np.testing.assert_array_equal(views[0], views[1])
    assert not np.isclose(views[0], views[2]).any()
    noisy = Identities(size=16, traits=4, circumstances=4).views(
        jnp.array([7, 7]), keys[:2]
    )
    assert not np.isclose(*noisy).any()


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"report.identities": 151}, "report.identities is 151"),
        ({"identities.traits": 0}, "traits=0; expected"),
        ({"identities.noise": -1.0}, "noise=-1.0; expected"),
        ({"head.class_share": 0.0}, "class_share=0.0"),
        ({"head.class_chunk": 0}, "class_chunk=0"),
    ],
)
def test_mistakes_get_a_sentence(changes, sentence):
    with pytest.raises(UserError, match=sentence):
        IdentitiesExperiment(config(**changes))
