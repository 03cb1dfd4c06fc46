r"""Outlier detection on your own table: rows of classes that were never trained on.

A class-conditional spline flow on a table with a column of classes. The rows of the
classes in `data.held_out` are never trained on; -log p(x) should be larger for them
than for the test's others: AUROC and average precision (AUPR), in `test/auroc` and
`test/average_precision`, beside a normal density for each class, mixtures of these,
the Mahalanobis distance and neighbors' distances on the same rows. A run takes one or
two minutes of CPU time on some thousand rows. Other rows are ranked by
`python -m nfml_jax score RUN TABLE`.

    python launch.py --config=configs/anomaly_vectors.py --config.data.path=table.csv \
        --config.data.labels=kind --config.data.held_out=faulty
"""

from configs import defaults


def get_config(arg=None):
    config = defaults.nsf(
        "anomaly_vectors", "vectors", layers=5, hidden=64, blocks=2, dropout=0.2
    )
    config.experiment = "conditional"
    defaults.any_table(config)
    config.data.labels = "-1"  # the column of classes; the last one by default
    config.data.held_out = None  # names of the classes never trained on, such as "a,b"
    return defaults.finish(config, arg)
