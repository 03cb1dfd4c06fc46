"""Saved models on the Hugging Face Hub, by its own mixin (the extra "hub")."""

from pathlib import Path
from typing import Any

from huggingface_hub import ModelHubMixin, snapshot_download

from nfml_jax.loading.pretrained import (
    CARD,
    CONFIG_FILE,
    WEIGHTS,
    Shareable,
    load_pretrained,
)


class HubModel(
    ModelHubMixin,
    library_name="nfml_jax",
    tags=["jax", "flax"],
):
    """A trained model as the Hub sees it; `trained` is the model itself."""

    def __init__(self, trained: Shareable, license: str | None = None):
        self.trained, self.license = trained, license

    def _save_pretrained(self, save_directory: Path) -> None:
        self.trained.save_pretrained(save_directory, license=self.license)

    @classmethod
    def _from_pretrained(
        cls,
        *,
        model_id: str,
        revision: str | None,
        cache_dir: Path | str | None,
        force_download: bool,
        local_files_only: bool,
        token: str | bool | None,
        **_: Any,
    ) -> "HubModel":
        folder = model_id
        if not Path(model_id).is_dir():
            folder = snapshot_download(
                model_id,
                revision=revision,
                cache_dir=cache_dir,
                force_download=force_download,
                local_files_only=local_files_only,
                token=token,
                allow_patterns=[WEIGHTS, CONFIG_FILE, CARD],
            )
        return cls(load_pretrained(folder))


def push_to_hub(
    model: Shareable, repo_id: str, *, license: str | None = None, **options: Any
) -> str:
    """Save a model and upload it; return the address of the commit.

    Args:
      model: a model that `nfml_jax.load` returned.
      repo_id: "user/name" on the Hub, which is made if it is not there.
      license: the license of the weights, for the card.
      **options: options of `ModelHubMixin.push_to_hub`, such as `private` and `token`.
    """
    return HubModel(model, license).push_to_hub(repo_id, **options)


def from_hub(repo_id: str, **options: Any) -> Any:
    """Download a model that `push_to_hub` uploaded, and return it.

    Only its weights, its config and its card are fetched, and no code of it runs.

    Args:
      repo_id: "user/name" on the Hub, or the folder of a saved model.
      **options: options of `ModelHubMixin.from_pretrained`, such as `revision`.

    Raises:
      UserError: if the files are damaged or are not those of a saved model.
    """
    return HubModel.from_pretrained(repo_id, **options).trained
