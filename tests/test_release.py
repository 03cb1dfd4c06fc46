"""The version, the change log, the citation and the requirements agree."""

import re
import tomllib
from pathlib import Path

import pytest

from nfml_jax import __version__
from nfml_jax.ops.extras import EXTRAS

ROOT = Path(__file__).parents[1]
# Modules whose packages have other names.
PACKAGES = {
    "PIL": "pillow",
    "absl": "absl-py",
    "ml_collections": "ml-collections",
    "orbax": "orbax-checkpoint",
    "sklearn": "scikit-learn",
    "tensorflow_datasets": "tensorflow-datasets",
}


def read(name):
    return (ROOT / name).read_text(encoding="utf-8")


def test_the_change_log_and_the_citation_have_the_version():
    assert re.fullmatch(r"\d+\.\d+\.\d+", __version__)
    released = re.findall(
        r"^## \[(\d+\.\d+\.\d+)\] - (\S+)$", read("CHANGELOG.md"), re.M
    )
    assert released[0][0] == __version__
    assert released == sorted(released, reverse=True)
    citation = read("CITATION.cff")
    assert f"\nversion: {__version__}\n" in citation
    assert f'\ndate-released: "{released[0][1]}"\n' in citation
    assert f"  version = {{{__version__}}},\n" in read("docs/about.md")


def test_the_citation_has_the_fields_of_its_schema():
    yaml = pytest.importorskip("yaml")
    citation = yaml.safe_load(read("CITATION.cff"))
    assert {"cff-version", "message", "title", "authors"} <= set(citation)
    assert citation["cff-version"] == "1.2.0"
    assert citation["type"] in ("software", "dataset")
    assert all(author.get("name") for author in citation["authors"])


def test_every_extra_brings_the_packages_that_errors_send_to_it():
    project = tomllib.loads(read("pyproject.toml"))["project"]
    extras = project["optional-dependencies"]
    for module, extra in EXTRAS.items():
        names = [re.match(r"[\w-]+", entry)[0] for entry in extras[extra]]
        assert PACKAGES.get(module, module) in names, module


def test_the_readme_names_every_extra():
    project = tomllib.loads(read("pyproject.toml"))["project"]
    named = re.findall(r"^\| `(\w+)` \| [^|]+ \|$", read("README.md"), re.M)
    assert sorted(named) == sorted(project["optional-dependencies"])


def test_the_workflow_and_the_templates_are_yaml():
    yaml = pytest.importorskip("yaml")
    files = sorted((ROOT / ".github").rglob("*.yml"))
    assert len(files) == 4
    for file in files:
        assert yaml.safe_load(file.read_text())
    workflow = yaml.safe_load(read(".github/workflows/ci.yml"))
    job = workflow["jobs"]["run"]
    assert job["strategy"]["matrix"]["python"] == ["3.11", "3.12", "3.13"]
    assert job["steps"][-1] == {"run": ".ci/run"}
