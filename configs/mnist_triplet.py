"""Triplet loss with semi-hard negatives (Schroff et al. 2015) on MNIST.

Batches of 10 digits with 13 images each.

    python launch.py --config=configs/mnist_triplet.py
"""

from configs import defaults


def get_config(arg=None):
    config = defaults.pairs("mnist_triplet", "triplet", miner="semi_hard", margin=0.2)
    config.train.batch_size = 120
    config.sampler.per_class = 12
    return defaults.finish(config, arg)
