r"""The four energies of Rezende and Mohamed (2015), three seeds each.

    python launch.py --config=configs/variational.py:iaf \
        --sweep=configs/sweeps/energies.py

Three minutes of CPU time for the planar flow, twelve for the splines; the README has
KL(q ‖ p).
"""

from nfml_jax.sweeps.overrides import param, product


def get_sweep():
    return product(param("energy.name", "u1", "u2", "u3", "u4"), param("seed", 0, 1, 2))
