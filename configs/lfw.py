r"""Faces: Labeled Faces in the Wild, "unrestricted, no outside data".

Trained on View 1's people and tested on the pairs of others (`data.view = 1`, for
choosing); of View 2, for reporting, `data.fold` 1 to 10 are ten runs, and their mean
with its standard error is the result. The argument is a margin of
`nfml_jax.heads.MARGINS` or a loss of `nfml_jax.losses.LOSSES`.

    python launch.py --config=configs/lfw.py
    python launch.py --config=configs/lfw.py:triplet
    python launch.py --config=configs/lfw.py:triplet \
        --sweep=configs/sweeps/lfw_folds.py --workdir=runs/lfw_folds/triplet

The pictures are found as `lfw/Name/Name_0001.jpg` or a zip or tar of these, with the
pairs files beside them, in ~/nfml_data. With LFW's lists of people there too,
people.txt and peopleDevTrain.txt, all on them are trained on and not only those in
pairs.

A run takes two minutes of CPU time. Of 24 heads and four losses SupCon was best on
View 1's validation people (results/lfw_view1); over View 2's ten folds it classifies
80.75 ± 0.54 % of the pairs correctly, softmax 77.38 ± 0.41 % (results/lfw_folds).
"""

from configs import defaults


def get_config(arg=None):
    name, _, smoke = defaults.read_argument(arg, "arcface")
    config = defaults.named("lfw", name, defaults.FEW_PICTURES, per_class=2)
    config.data = {
        "name": "lfw",
        "root": None,  # a folder, zip or tar; None: searched in manual_dir
        "manual_dir": None,
        "view": 1,
        "fold": 1,
        "image_size": 48,
        "crop": 0.8,  # fraction of either side that is kept
        "channels": 1,
        "min_images": 2,  # least pictures of a person to train on
        "validation": 0.1,  # of the people to train on
        "seed": 0,
        "max_train": None,
        "max_test": None,
        "without": None,  # a file of `python -m nfml_jax outliers`
    }
    config.augment = {
        "shift": 2.0,
        "rotate": 5.0,
        "scale": 0.1,
        "shear": 0.0,
        "flip": True,
    }
    config.encoder = {
        "name": "cnn",
        "features": (16, 32, 64, 128),
        "hidden": 256,
        "embedding_size": 128,
        "embedding_norm": True,
        "dtype": "float32",
    }
    config.train.batch_size = 128
    config.train.total = "400 steps"
    config.train.evaluate_every = "100 steps"
    config.train.checkpoint_every = "200 steps"
    config.train.report = "best"
    config.optimizer.weight_decay = 5e-4
    return defaults.finish(config, smoke)
