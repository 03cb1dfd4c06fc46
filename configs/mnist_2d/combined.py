"""The combined margin (Deng et al. 2019, eq. 4) on MNIST in two dimensions."""

from configs import defaults


def get_config(arg=None):
    config = defaults.mnist_2d("mnist_2d_combined")
    config.head = defaults.angular_head("combined", margin=(1.0, 0.1, 0.05), scale=24.0)
    return defaults.finish(config, arg)
