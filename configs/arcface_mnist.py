"""ArcFace (Deng et al. 2019) on MNIST with 64-dimensional embeddings: the main job."""

from configs import defaults


def get_config(arg=None):
    config = defaults.margin("arcface_mnist")
    config.head = defaults.angular_head("arcface", margin=0.5, scale=30.0)
    return defaults.finish(config, arg)
