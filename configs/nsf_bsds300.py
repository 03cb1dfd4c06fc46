"""RQ-NSF (C) on BSDS300 with the recipe of Durkan et al. (2019), appendix B.1.

Reads the published files (doi:10.5281/zenodo.1161203); not run yet, for want of
them. The paper reports a test log-likelihood of 157.54 nats (its table 1). Its
autoregressive flow, RQ-NSF (AR), is the second command.

    python launch.py --config=configs/nsf_bsds300.py
    python launch.py --config=configs/nsf_bsds300.py \
        --config.flow.kind=autoregressive --config.flow.layers=10 \
        --config.flow.blocks=2 --config.flow.hidden=512
"""

from configs import defaults


def get_config(arg=None):
    config = defaults.nsf(
        "nsf_bsds300", "bsds300", layers=20, hidden=128, blocks=1, dropout=0.2
    )
    return defaults.finish(config, arg)
