"""Defaults of flows on tables: the published recipes, and recipes of CPU minutes."""

from ml_collections import ConfigDict

from configs.defaults.density import density


def nsf(name: str, data: str, **flow) -> ConfigDict:
    """Return spline flows with couplings on a table (Durkan et al. 2019, appendix B.1).

    `--config.flow.kind=autoregressive` takes masked autoregressive layers instead. As
    in the paper's code, logits of bins are divided by the root of the network's width.
    """
    options = {"kind": "coupling", "bins": 8, "bound": 3.0, "scale_logits": True} | flow
    config = density(name, "rq_nsf", **options)
    table(config, data)
    config.train.batch_size = 512
    config.train.total = "400000 steps"
    config.optimizer.learning_rate = 5e-4
    return config


def maf(name: str, data: str, **flow) -> ConfigDict:
    """Return MAF(5) on a table (Papamakarios et al. 2017, section 4.1 and appendix D).

    The paper stops after 30 epochs without progress, which is equivalent to the best
    checkpoint of a long run. Its weight decay is not part of the gradient here, and its
    batch norm is evaluated with a mean of the last hundred batches, not of the whole
    set.
    """
    options = {"normalize": "batch", "activation": "relu"} | flow
    config = density(name, "maf", layers=5, **options)
    table(config, data)
    config.train.batch_size = 100
    config.train.total = "100 epochs, at least 100000 steps"
    config.optimizer.learning_rate = 1e-4
    config.optimizer.schedule = "constant"
    config.optimizer.weight_decay = 1e-6
    config.optimizer.clip_norm = None
    return config


def table(config: ConfigDict, data: str) -> None:
    """Set the source of a table, and the intervals of validation of a long run."""
    config.data.update(
        {
            "name": data,  # one of nfml_jax.data.vectors.load.VECTOR_DATASETS
            "manual_dir": None,  # the folder of the files; None is ~/nfml_data
            "max_train": None,  # None: all
            "max_test": None,
        }
    )
    config.train.evaluate_every = "2000 steps"
    config.train.checkpoint_every = "10000 steps"
    config.optimizer.warmup = None


def any_table(config: ConfigDict) -> None:
    """Set a file of your own, or a small set of the UCI repository, for minutes.

    For "vectors" `data.path` is the file; the UCI sets (red_wine, white_wine,
    parkinsons, ionosphere, housing) are found by their names.
    """
    config.data.update(
        {
            # .csv, .parquet, .npy, .npz, or a folder of train, validation and test
            "path": None,
            # Columns by name, number (0, -1), range ("0:5", "a:d") or list ("a,c,0:5").
            "columns": None,  # those to keep; None: all
            "drop": None,  # those of them to leave out
            "context": None,  # those to condition on, such as "age,sex", or
            "labels": None,  # the one of classes, also for the experiment conditional
            "missing": "refuse",  # or "drop" rows in which a value is missing
            "header": "auto",  # whether the first line has names: "yes" or "no"
            "jitter": None,  # "steps" adds noise to discrete columns, as wide as a step
            "validation": 0.1,  # fractions, or counts, of rows to set aside
            "test": 0.1,
        }
    )
    quickly(config, 2000, evaluate=100, dispatch=100)


def patches(config: ConfigDict) -> None:
    """Set newly drawn BSDS300 patches, of a number for runs of minutes on a CPU."""
    config.data.update({"train": 200_000, "validation": 10_000, "test": 50_000})
    quickly(config, 4000, evaluate=500, dispatch=50)


def digits(name: str) -> ConfigDict:
    """Return a spline flow on principal components of MNIST, given the digit."""
    config = density(name, "rq_nsf", layers=5, hidden=96, blocks=1, bins=8, bound=4.0)
    config.experiment = "conditional"
    config.flow.dropout = 0.1
    config.data.update(
        {
            "name": "mnist",  # or fashion_mnist
            "source": "auto",  # as in configs/arcface_mnist.py
            "manual_dir": None,
            "data_dir": None,
            "validation": 0.1,
            "components": 32,
            "held_out": (),  # names of classes to train without
        }
    )
    config.train.log_every = "100 steps"
    config.optimizer.warmup = "100 steps"
    quickly(config, 3000, evaluate=500, dispatch=50)
    return config


def quickly(config: ConfigDict, steps: int, *, evaluate: int, dispatch: int) -> None:
    """Set a recipe for runs of minutes: `steps` of 256 rows, annealed."""
    config.train.batch_size = 256
    config.train.total = f"{steps} steps"
    config.train.evaluate_every = f"{evaluate} steps"
    config.train.checkpoint_every = f"{steps // 2} steps"
    config.train.steps_per_dispatch = dispatch
    config.optimizer.learning_rate = 1e-3
    config.optimizer.schedule = "cosine"
    config.optimizer.clip_norm = 5.0
