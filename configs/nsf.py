r"""Neural spline flows (Durkan et al. 2019) on tables: RQ-NSF, couplings or not.

The argument names the table:

| argument | data | the paper's log-likelihood in nats |
|---|---|--:|
| `power` | POWER | 0.64 |
| `gas` | GAS | 13.09 |
| `hepmass` | HEPMASS | -14.75 |
| `miniboone` | MINIBOONE | -9.67 |
| `bsds300` | 8 × 8 patches of BSDS300 | 157.54 |
| `bsds300_patches` | another draw of these patches, by the published recipe | |
| `vectors` (the default) | your own table, or a small one of UCI | |

The first five reproduce RQ-NSF (C) of table 1 of the paper by the recipe of its
appendix B.1. They read the published files (doi:10.5281/zenodo.1161203), and were not
run, for want of them.

    python launch.py --config=configs/nsf.py:power

The paper's autoregressive flow, RQ-NSF (AR), has other networks on three of the sets:

    python launch.py --config=configs/nsf.py:power --config.flow.kind=autoregressive
    python launch.py --config=configs/nsf.py:gas --config.flow.kind=autoregressive
    python launch.py --config=configs/nsf.py:hepmass \
        --config.flow.kind=autoregressive --config.flow.layers=10 \
        --config.flow.blocks=2 --config.flow.hidden=256 --config.train.batch_size=512
    python launch.py --config=configs/nsf.py:miniboone \
        --config.flow.kind=autoregressive --config.flow.hidden=64 \
        --config.train.batch_size=64 --config.train.total="250000 steps"
    python launch.py --config=configs/nsf.py:bsds300 \
        --config.flow.kind=autoregressive --config.flow.layers=10 \
        --config.flow.blocks=2 --config.flow.hidden=512

The patches are drawn anew from the photographs, so their results are close to, but not
comparable with, the published ones: 147.2 nats after four minutes of CPU time.

    python launch.py --config=configs/nsf.py:bsds300_patches

A table of your own is any .npy, .npz or .csv. The run warns of constant, repeated and
nearly discrete columns, whose likelihood means little. On three small sets of UCI a run
takes one to two minutes of CPU time (results/tabular).

    python launch.py --config=configs/nsf.py --config.data.path=table.csv
    python launch.py --config=configs/nsf.py --config.data.name=white_wine
"""

from configs import defaults

# Table -> the flow.
FLOWS = {
    "power": {"layers": 10, "hidden": 256, "blocks": 2},
    "gas": {"layers": 10, "hidden": 256, "blocks": 2, "dropout": 0.1},
    "hepmass": {"layers": 20, "hidden": 128, "blocks": 1, "dropout": 0.2},
    "miniboone": {"layers": 10, "hidden": 32, "blocks": 1, "dropout": 0.2, "bins": 4},
    "bsds300": {"layers": 20, "hidden": 128, "blocks": 1, "dropout": 0.2},
    "bsds300_patches": {"layers": 5, "hidden": 128, "blocks": 1, "dropout": 0.1},
    "vectors": {"layers": 5, "hidden": 64, "blocks": 2, "dropout": 0.2},
}


def get_config(arg=None):
    data, _, smoke = defaults.read_argument(arg, "vectors", choices=FLOWS)
    config = defaults.nsf(f"nsf_{data}", data, **FLOWS[data])
    if data == "hepmass":
        config.train.batch_size = 256
    elif data == "miniboone":
        config.train.batch_size = 128
        config.train.total = "200000 steps"
        config.optimizer.learning_rate = 3e-4
    elif data == "bsds300_patches":
        defaults.patches(config)
    elif data == "vectors":
        defaults.any_table(config)
    return defaults.finish(config, smoke)
