"""A neural spline flow (Durkan et al. 2019) on your own table.

Any .npy, .npz or .csv, in minutes on a CPU; warns of constant, repeated and nearly
discrete columns, whose likelihood means little. Also for the small UCI sets.

    python launch.py --config=configs/nsf_vectors.py --config.data.path=table.csv
    python launch.py --config=configs/nsf_vectors.py --config.data.name=white_wine
"""

from configs import defaults


def get_config(arg=None):
    config = defaults.nsf(
        "nsf_vectors", "vectors", layers=5, hidden=64, blocks=2, dropout=0.2
    )
    defaults.any_table(config)
    return defaults.finish(config, arg)
