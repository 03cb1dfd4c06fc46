"""The four energies of Rezende and Mohamed (2015), three seeds each.

python launch.py --config=configs/variational/iaf.py --sweep=configs/sweeps/energies.py
"""

from nfml_jax.sweeps.overrides import param, product


def get_sweep():
    return product(param("energy.name", "u1", "u2", "u3", "u4"), param("seed", 0, 1, 2))
