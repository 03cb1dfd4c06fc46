"""RQ-NSF (C) on HEPMASS with the recipe of Durkan et al. (2019), appendix B.1.

Reads the published files (doi:10.5281/zenodo.1161203); not run yet, for want of
them. The paper reports a test log-likelihood of -14.75 nats (its table 1). Its
autoregressive flow, RQ-NSF (AR), is the second command.

    python launch.py --config=configs/nsf_hepmass.py
    python launch.py --config=configs/nsf_hepmass.py \
        --config.flow.kind=autoregressive --config.flow.layers=10 \
        --config.flow.blocks=2 --config.flow.hidden=256 --config.train.batch_size=512
"""

from configs import defaults


def get_config(arg=None):
    config = defaults.nsf(
        "nsf_hepmass", "hepmass", layers=20, hidden=128, blocks=1, dropout=0.2
    )
    config.train.batch_size = 256
    return defaults.finish(config, arg)
