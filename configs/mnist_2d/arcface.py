"""ArcFace (Deng et al. 2019) on MNIST in two dimensions."""

from configs import defaults


def get_config(arg=None):
    config = defaults.mnist_2d("mnist_2d_arcface")
    config.head = defaults.angular_head("arcface", margin=0.2, scale=24.0)
    return defaults.finish(config, arg)
