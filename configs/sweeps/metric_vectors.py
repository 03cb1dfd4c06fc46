r"""Six small sets, three splits of each; each set's runs have their own name.

    python launch.py --config=configs/metric_vectors.py \
        --sweep=configs/sweeps/metric_vectors.py

The 18 runs take five minutes of CPU time; the README has the accuracies.
"""

from nfml_jax.sweeps.overrides import param, product, zip_

SETS = (
    "iris",
    "wine",
    "breast_cancer",
    "ionosphere_echoes",
    "red_wine_grades",
    "white_wine_grades",
)


def get_sweep():
    named = zip_(param("name", *SETS), param("data.name", *SETS))
    return product(named, param("seed", 0, 1, 2))
