"""Put `configs` and `experiments` into the package, as nfml_jax.laboratory.

A wheel must not claim such common names at the top of an environment. The command
`nfml train` makes them importable; the rest is in pyproject.toml.
"""

from setuptools import find_namespace_packages, find_packages, setup

LABORATORY = {
    f"nfml_jax.laboratory.{name}": name
    for folder in ("configs", "experiments")
    for name in (
        folder,
        *(
            f"{folder}.{inner}"
            for inner in find_namespace_packages(folder, exclude=["*__pycache__*"])
        ),
    )
}

setup(
    packages=[
        *find_packages(include=["nfml_jax", "nfml_jax.*"]),
        *LABORATORY,
    ],
    package_dir={name: path.replace(".", "/") for name, path in LABORATORY.items()},
)
