"""A masked autoregressive flow (Papamakarios et al. 2017) on your own table.

Any .npy, .npz or .csv, in minutes on a CPU; warns of constant, repeated and nearly
discrete columns, whose likelihood means little. Also for the small UCI sets.

    python launch.py --config=configs/maf_vectors.py --config.data.path=table.csv
    python launch.py --config=configs/maf_vectors.py --config.data.name=white_wine
"""

from configs import defaults


def get_config(arg=None):
    config = defaults.maf("maf_vectors", "vectors", hidden=(128, 128), dropout=0.2)
    defaults.any_table(config)
    return defaults.finish(config, arg)
