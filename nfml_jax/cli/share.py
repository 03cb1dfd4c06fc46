"""Write a trained model as a folder for others: `nfml share RUN FOLDER`.

The folder holds the weights (safetensors), a config and a card made from the run's
result. `nfml_jax.load(FOLDER)` and the other commands take it in place of a run. With
--push it is uploaded to the Hugging Face Hub, too.
"""

from pathlib import Path

from nfml_jax.cli.command import command, make_parser
from nfml_jax.errors import UserError
from nfml_jax.loading import load
from nfml_jax.loading.pretrained import Shareable


@command
def main(arguments=None) -> None:
    """Run the command `nfml share`."""
    parser = make_parser("share", __doc__)
    parser.add_argument("run", type=Path, help="the run directory")
    parser.add_argument("folder", type=Path, help="a new folder")
    parser.add_argument(
        "--checkpoint", default="reported", help="reported (default), last or best"
    )
    parser.add_argument("--license", help="license of the weights, such as cc-by-4.0")
    parser.add_argument("--push", metavar="USER/NAME", help="a repository on the Hub")
    options = parser.parse_args(arguments)
    model = load(options.run, options.checkpoint)
    if not isinstance(model, Shareable):
        raise UserError(
            f"{options.run} holds a {type(model).__name__}, which has no "
            "save_pretrained; let its class inherit nfml_jax.loading.pretrained."
            "Shareable."
        )
    folder = model.save_pretrained(options.folder, license=options.license)
    size = sum(path.stat().st_size for path in folder.iterdir()) / 1e6
    print(f"Wrote {folder} ({size:.1f} MB). To use it:\n")
    print(f'model = nfml_jax.load("{folder}")')
    if options.push:
        from nfml_jax.loading import push_to_hub

        address = push_to_hub(model, options.push, license=options.license)
        print(f"Pushed to {address}.")
