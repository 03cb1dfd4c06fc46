"""A neural spline flow (Durkan et al. 2019) on image patches.

8 × 8 patches of the BSDS300 photographs, drawn anew by the published recipe: results
are close to, but not comparable with, those on the published draw of
configs/nsf_bsds300.py.

    python launch.py --config=configs/nsf_bsds300_patches.py
"""

from configs import defaults


def get_config(arg=None):
    config = defaults.nsf(
        "nsf_bsds300_patches",
        "bsds300_patches",
        layers=5,
        hidden=128,
        blocks=1,
        dropout=0.1,
    )
    defaults.patches(config)
    return defaults.finish(config, arg)
