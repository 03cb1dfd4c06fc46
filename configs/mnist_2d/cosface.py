"""CosFace (Wang et al. 2018) on MNIST in two dimensions."""

from configs import defaults


def get_config(arg=None):
    config = defaults.mnist_2d("mnist_2d_cosface")
    config.head = {
        "name": "cosface",
        "margin": 0.1,  # on a circle of ten classes it must stay below 0.19
        "scale": 24.0,
        "grad": "exact",
        "warmup_steps": 0,
    }
    return defaults.finish(config, arg)
