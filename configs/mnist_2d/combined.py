"""The combined margin (Deng et al. 2019, eq. 4) on MNIST in two dimensions.

A panel of the figure of all losses: python -m nfml_jax draw RUNS... draws them side
by side. 97.90 % test accuracy (results/mnist_2d_combined),
for ten minutes of CPU time with all 60,000 digits.

    python launch.py --config=configs/mnist_2d/combined.py
"""

from configs import defaults


def get_config(arg=None):
    config = defaults.mnist_2d("mnist_2d_combined")
    config.head = defaults.angular_head(
        "combined", margin=(1.0, 0.1, 0.05), scale=24.0, warmup_steps=800
    )
    return defaults.finish(config, arg)
