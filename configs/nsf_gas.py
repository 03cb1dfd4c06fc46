"""RQ-NSF (C) on GAS with the recipe of Durkan et al. (2019), appendix B.1.

Reads the published files (doi:10.5281/zenodo.1161203); not run yet, for want of
them. The paper reports a test log-likelihood of 13.09 nats (its table 1). Its
autoregressive flow, RQ-NSF (AR), is the second command.

    python launch.py --config=configs/nsf_gas.py
    python launch.py --config=configs/nsf_gas.py \
        --config.flow.kind=autoregressive
"""

from configs import defaults


def get_config(arg=None):
    config = defaults.nsf(
        "nsf_gas", "gas", layers=10, hidden=256, blocks=2, dropout=0.1
    )
    return defaults.finish(config, arg)
