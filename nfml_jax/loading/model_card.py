"""The card of a shared model: a README.md made from its result, in the Hub's form."""

import json
import math
from collections.abc import Mapping
from typing import Any

# Loader -> what the model is, its tags, and the lines that use it after loading.
KINDS = {
    "classifier": (
        "An encoder of images with a margin head",
        ("image-classification", "metric-learning"),
        (
            'image = model.read("picture.png")[None]  # uint8 [1, H, W, C]',
            "embeddings = model.embed(image)",
            "scores = model.logits(image)  # columns are model.class_names",
        ),
    ),
    "embedder": (
        "An encoder of images",
        ("image-feature-extraction", "metric-learning"),
        (
            'image = model.read("picture.png")[None]  # uint8 [1, H, W, C]',
            "embeddings = model.embed(image)",
        ),
    ),
    "flow": (
        "A normalizing flow of rows of numbers",
        ("normalizing-flows", "density-estimation"),
        (
            "rows = model.sample(seed=0, n=10)",
            "log_densities = model.log_prob(rows)  # nats, in the units of the data",
        ),
    ),
    "pixels": (
        "A normalizing flow of images",
        ("unconditional-image-generation", "normalizing-flows"),
        (
            "images = model.sample(seed=0, n=10)",
            "bits = model.bits_per_dim(images).mean",
        ),
    ),
    "metric": (
        "A Mahalanobis metric of rows of numbers",
        ("metric-learning",),
        ("distances = model.distance(rows_a, rows_b)",),
    ),
}
OTHER = ("A trained model", (), ())


def model_card(content: Mapping[str, Any], name: str, license: str | None) -> str:
    """Return the text of a card.

    Args:
      content: the `config.json` of the shared folder.
      name: the name of the model, as of its folder.
      license: the license of the weights, or None if none is given.
    """
    what, tags, uses = KINDS.get(content["loader"], OTHER)
    result = content["result"] or {}
    parts = [
        _front_matter(name, license, tags, result),
        f"# {name}",
        f"{what}, trained with nfml_jax as `{content['config']['name']}`, "
        f"after {content['step']:,} steps.",
        "## How to load it",
        "```python\nimport nfml_jax  # pip install 'nfml_jax[training]'\n\n"
        + "\n".join((f'model = nfml_jax.load("{name}")', *uses))
        + "\n```",
        *_threshold(content),
        "## Results",
        _metrics(result),
        "## Data and training",
        _training(result, content),
        "## License",
        f"The weights are under {license}."
        if license
        else "No license was given for the weights; ask who trained them.",
    ]
    return "\n\n".join(parts) + "\n"


def _front_matter(name, license, tags, result) -> str:
    """Return the fields that the Hub reads; JSON values are YAML values."""
    lines = ["---", "library_name: nfml_jax"]
    if license:
        lines.append(f"license: {json.dumps(license)}")
    lines.append(f"tags: {json.dumps(['jax', 'flax', *tags])}")
    metrics = result.get("metrics", {})
    data = result.get("data", {}).get("name")
    if metrics and data:
        index = {
            "name": name,
            "results": [
                {
                    "task": {"type": tags[0] if tags else "other"},
                    "dataset": {"type": data, "name": data},
                    "metrics": [
                        {"type": metric, "value": value}
                        for metric, value in metrics.items()
                        if math.isfinite(value)
                    ],
                }
            ],
        }
        lines.append(f"model-index: {json.dumps([index])}")
    return "\n".join([*lines, "---"])


def _threshold(content) -> list[str]:
    if content["threshold"] is None:
        return []
    return [
        f"Two images are classified as the same class from the cosine "
        f"{content['threshold']:.4f} on, which was chosen on pairs of training data; "
        "choose your own for other data (`model.threshold`)."
    ]


def _metrics(result) -> str:
    metrics = result.get("metrics")
    if not metrics:
        return "The run of these weights has no result yet."
    rows = [f"| `{name}` | {value:.6g} |" for name, value in metrics.items()]
    return "\n".join(["| metric | value |", "|---|--:|", *rows])


def _training(result, content) -> str:
    data = result.get("data") or content["config"].get("data", {})
    rows = [(f"data, {field}", value) for field, value in data.items()]
    rows += [("seed", result.get("seed", content["config"].get("seed")))]
    rows += [(field, result[field]) for field in ("steps", "device") if field in result]
    rows += [
        (f"{kind}, minutes", round(result[field] / 60, 1))
        for field, kind in (("wall_s", "wall time"), ("cpu_s", "CPU time"))
        if field in result
    ]
    rows += [
        (f"version of {package}", version)
        for package, version in result.get("versions", {}).items()
    ]
    if result.get("revision"):
        rows.append(("revision of nfml_jax", result["revision"]))
    lines = [f"| {name} | {_cell(value)} |" for name, value in rows]
    words = "The whole config is in `config.json`."
    return "\n".join(["| | |", "|---|---|", *lines, "", words])


def _cell(value) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return text.replace("|", r"\|").replace("\n", " ")
