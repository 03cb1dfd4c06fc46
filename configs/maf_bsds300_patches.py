"""A masked autoregressive flow (Papamakarios et al. 2017) on image patches.

8 × 8 patches of the BSDS300 photographs, drawn anew by the published recipe: results
are close to, but not comparable with, those on the published draw of
configs/maf_bsds300.py.

    python launch.py --config=configs/maf_bsds300_patches.py
"""

from configs import defaults


def get_config(arg=None):
    config = defaults.maf("maf_bsds300_patches", "bsds300_patches", hidden=(256, 256))
    defaults.patches(config)
    return defaults.finish(config, arg)
