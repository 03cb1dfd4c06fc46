"""The flows of MNIST of tutorial 11 of the UvA deep learning course, as published.

Affine couplings with gated networks on masked images (P. Lippe). `vardeq` adds learned
noise to `simple`, and `multiscale` has two squeezes as well. Published bits per
dimension on the test set, of 8 draws, after 200 epochs on an RTX 3090:

| config     | parameters | test   | hours |
|------------|-----------:|-------:|------:|
| simple     |    556,312 | 1.0784 |   1.3 |
| vardeq     |    628,388 | 1.0413 |   1.6 |
| multiscale |  1,711,818 | 1.0207 |   1.0 |

They are for an accelerator: an epoch of `simple` is 130 TFLOP, 43 minutes of two CPU
cores at 50 GFLOP/s. Here 50,000 of the training images train and 10,000 validate, as
published, with another choice of both.

    python launch.py --config=configs/uva_mnist.py:multiscale
    python launch.py --config=configs/uva_mnist.py:simple,smoke
"""

from configs import defaults

RECIPES = {
    "simple": {"steps": (8,), "hidden": (32,)},
    "vardeq": {"steps": (8,), "hidden": (32,)},
    "multiscale": {"steps": (2, 2, 4), "hidden": (32, 48, 64)},
}


def get_config(arg=None):
    name, _, smoke = defaults.read_argument(arg, "simple", choices=RECIPES)
    config = defaults.pixels(f"uva_{name}", "uva", **RECIPES[name])
    if name != "simple":
        config.noise.update({"net": "gated", "hidden": 16, "masked": True})
        config.noise.steps = 2  # pairs of couplings
    config.data.validation = 1 / 6
    config.optimizer.learning_rate = 1e-3
    config.optimizer.schedule = "exponential"  # by 1 % an epoch
    config.optimizer.warmup = None
    config.optimizer.clip_norm = 1.0
    config.train.total = "200 epochs"
    config.train.evaluate_every = "5 epochs"
    config.train.checkpoint_every = "5 epochs"
    config.train.average_decay = None
    return defaults.finish(config, smoke)
