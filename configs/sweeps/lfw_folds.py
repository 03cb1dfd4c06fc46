r"""LFW's View 2: ten runs, each tested on a fold and trained on people of the others.

    python launch.py --config=configs/lfw.py:triplet \
        --sweep=configs/sweeps/lfw_folds.py --workdir=runs/lfw_folds/triplet
    python -m nfml_jax results runs/lfw_folds --spread=se \
        --metrics verification/accuracy,verification/eer,verification/auc

Ten runs take twenty minutes of CPU time. The table has the mean over folds ± its
standard error, as LFW is reported. A fold's threshold is chosen on people set aside
from those to train on, and so are the weights that are reported: nothing is chosen on
the people of the fold.
"""

from nfml_jax.sweeps.overrides import param, product


def get_sweep():
    return product(param("data.view", 2), param("data.fold", *range(1, 11)))
