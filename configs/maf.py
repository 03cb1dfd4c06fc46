"""Masked autoregressive flows (Papamakarios et al. 2017) on tables: MAF (5).

The argument names the table:

| argument | data | the paper's log-likelihood in nats |
|---|---|--:|
| `power` | POWER | 0.14 |
| `gas` | GAS | 9.07 |
| `hepmass` | HEPMASS | -17.70 |
| `miniboone` | MINIBOONE | -11.75 |
| `bsds300` | 8 × 8 patches of BSDS300 | 155.69 |
| `bsds300_patches` | another draw of these patches, by the published recipe | |
| `vectors` (the default) | your own table, or a small one of UCI | |

The first five reproduce table 1 of the paper by the recipe of its section 4.1, with two
hidden layers; the paper has one or two, whichever did better in validation. They read
the published files (doi:10.5281/zenodo.1161203), and were not run, for want of them.

    python launch.py --config=configs/maf.py:power

The patches are drawn anew from the photographs, so their results are close to, but not
comparable with, the published ones: 149.3 nats after two minutes of CPU time.

    python launch.py --config=configs/maf.py:bsds300_patches

A table of your own is any .npy, .npz or .csv. The run warns of constant, repeated and
nearly discrete columns, whose likelihood means little. On three small sets of UCI a run
takes less than a minute of CPU time (results/tabular).

    python launch.py --config=configs/maf.py --config.data.path=table.csv
    python launch.py --config=configs/maf.py --config.data.name=white_wine
"""

from configs import defaults

# Table -> the masked networks.
NETWORKS = {
    "power": {"hidden": (100, 100)},
    "gas": {"hidden": (100, 100), "activation": "tanh"},  # as in the paper
    "hepmass": {"hidden": (512, 512)},
    "miniboone": {"hidden": (512, 512)},
    "bsds300": {"hidden": (512, 512)},
    "bsds300_patches": {"hidden": (256, 256)},
    "vectors": {"hidden": (128, 128), "dropout": 0.2},
}


def get_config(arg=None):
    data, _, smoke = defaults.read_argument(arg, "vectors", choices=NETWORKS)
    config = defaults.maf(f"maf_{data}", data, **NETWORKS[data])
    if data == "bsds300_patches":
        defaults.patches(config)
    elif data == "vectors":
        defaults.any_table(config)
    return defaults.finish(config, smoke)
