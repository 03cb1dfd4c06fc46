"""A flow on a trained encoder's embeddings, beside the cosine and normal densities."""

import numpy as np
import pytest

from configs import bridge, mnist_losses
from experiments import make_experiment
from experiments.bridge import draw_pairs
from nfml_jax.errors import UserError
from nfml_jax.training.loop import train_and_evaluate

pytestmark = pytest.mark.filterwarnings(
    "ignore:.*as it was pub", "ignore:TAR at FAR", "ignore:DIR at FPIR"
)


@pytest.fixture(scope="module")
def encoder(tmp_path_factory, manual_dir):
    """A run on eight of ten classes."""
    path = tmp_path_factory.mktemp("encoder")
    config = mnist_losses.get_config("softmax,smoke")
    config.data.update(
        {
            "source": "manual",
            "manual_dir": str(manual_dir),
            "data_dir": str(path / "data"),
            "classes": tuple("01234567"),
            "max_train": 0,
            "max_test": 0,
        }
    )
    config.encoder = {"name": "mlp", "embedding_size": 4, "hidden": (16,)}
    config.train.total = "60 steps"
    train_and_evaluate(make_experiment, config.to_dict(), path / "run")
    return path / "run"


def small(encoder, **data):
    config = bridge.get_config("smoke")
    config.flow = {"recipe": "realnvp", "layers": 2, "hidden": (16,)}
    config.data.update({"run": str(encoder), "max_train": 0, "max_test": 0, **data})
    return config.to_dict()


def test_unknown_identities_names_and_pairs_are_evaluated_by_every_method(
    encoder, tmp_path
):
    outcome = train_and_evaluate(make_experiment, small(encoder), tmp_path / "run")
    metrics = outcome.result["metrics"]
    for method in ("test", "gaussian", "mahalanobis", "knn", "cosine"):
        assert 0 <= metrics[f"{method}/auroc"] <= 1
    for method in ("flow", "gaussian", "cosine"):
        assert metrics[f"identification/{method}/rank-1"] > 0.5
        assert 0 <= metrics[f"identification/{method}/dir@fpir=0.1"] <= 1
        least = metrics[f"verification/{method}/min_cllr"]
        assert 0 <= least <= metrics[f"verification/{method}/cllr"] + 1e-9
    # Fitted to training pairs of the same kind, the cosine's ratios mean what they say.
    assert metrics["verification/cosine/cllr"] < 1
    data = outcome.result["data"]
    assert data["outside"] == 40
    assert data["name"] == "mnist_custom_embeddings"


def test_pairs_are_of_one_class_or_of_two():
    labels = np.random.default_rng(0).integers(0, 4, 60)
    (a, b), (c, d) = draw_pairs(labels, 500, seed=0)
    assert (labels[a] == labels[b]).all() and (a != b).all()
    assert (labels[c] != labels[d]).all()
    assert len(a) > 400 and len(c) > 300


@pytest.mark.parametrize(
    "data, words",
    [
        ({"run": None}, "data.run is empty"),
        ({"run": "nowhere"}, "holds no run"),
        ({"outside": "fashion"}, "fashion_mnist"),
    ],
)
def test_mistakes_get_a_sentence(data, words, encoder):
    with pytest.raises(UserError, match=words):
        make_experiment(small(encoder, **data))
