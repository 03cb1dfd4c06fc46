"""The lists in configs/sweeps make runs that exist, of the configs they are for."""

import pytest

from configs import lfw, mnist_losses
from configs.sweeps import lfw_folds, mnist_margins
from nfml_jax.heads import make_head
from nfml_jax.losses import make_loss
from nfml_jax.sweeps.overrides import make_trials


def trained_by(config):
    """A head or loss with its options, but for the steps of its warm-up."""
    if "head" in config:
        head = {k: v for k, v in config["head"].items() if k != "warmup_steps"}
        return repr(make_head(10, 64, **head))
    return repr(make_loss(10, 64, **config["objective"]))


@pytest.mark.parametrize("size", [2, 64])
@pytest.mark.parametrize("name", mnist_margins.ROOMY)
def test_every_loss_on_mnist_can_choose_its_margin(name, size):
    config = mnist_losses.get_config(f"{name},{size}").to_dict()
    trials = make_trials(config, mnist_margins.get_sweep(f"{name},{size}"))
    found = [trained_by(trial.config) for trial in trials]
    assert len(set(found)) == len(found) == 3
    # What the config has is one of the choices, and all else is as it has it.
    assert trained_by(config) in found
    for part in ("data", "augment", "optimizer"):
        assert all(trial.config[part] == config[part] for trial in trials)


def test_ten_folds_of_view_2():
    trials = make_trials(lfw.get_config().to_dict(), lfw_folds.get_sweep())
    data = [trial.config["data"] for trial in trials]
    assert [part["fold"] for part in data] == list(range(1, 11))
    assert {part["view"] for part in data} == {2}
