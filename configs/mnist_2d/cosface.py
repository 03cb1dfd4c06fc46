"""CosFace (Wang et al. 2018) on MNIST in two dimensions.

A panel of the figure of all losses: python -m nfml_jax draw RUNS... draws them side
by side. 98.05 % test accuracy (results/mnist_2d_cosface),
for ten minutes of CPU time with all 60,000 digits.

    python launch.py --config=configs/mnist_2d/cosface.py
"""

from configs import defaults


def get_config(arg=None):
    config = defaults.mnist_2d("mnist_2d_cosface")
    config.head = {
        "name": "cosface",
        "margin": 0.1,  # on a circle of ten classes it must stay below 0.19
        "scale": "24",
        "grad": "exact",
        "warmup_steps": 800,
    }
    return defaults.finish(config, arg)
