"""ArcFace (Deng et al. 2019) on MNIST in two dimensions.

A panel of the figure of all losses: python -m nfml_jax draw RUNS... draws them side
by side. 97.68 % test accuracy
(results/mnist_2d_arcface), for ten minutes of CPU time with all 60,000 digits.

    python launch.py --config=configs/mnist_2d/arcface.py
"""

from configs import defaults


def get_config(arg=None):
    config = defaults.mnist_2d("mnist_2d_arcface")
    config.head = defaults.angular_head(
        "arcface", margin=0.2, scale=24.0, warmup_steps=800
    )
    return defaults.finish(config, arg)
