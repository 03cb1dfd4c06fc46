"""NormFace (Wang et al. 2017) on MNIST in two dimensions.

A panel of the figure of all losses: python -m nfml_jax.gallery RUNS... draws them side
by side. Ten minutes of CPU time with all 60,000 digits, as softmax.py.

    python launch.py --config=configs/mnist_2d/normface.py
"""

from configs import defaults


def get_config(arg=None):
    config = defaults.mnist_2d("mnist_2d_normface")
    config.head = {"name": "normface", "scale": "24"}
    return defaults.finish(config, arg)
