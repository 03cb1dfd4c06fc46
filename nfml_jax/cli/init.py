"""Copy the configs and experiments into a folder, to edit them: `nfml init FOLDER`.

Commands that run there use the copies, and the installed package for deleted files.
"""

import shutil
from pathlib import Path

from nfml_jax.cli.command import command, make_parser
from nfml_jax.cli.laboratory import FOLDERS, laboratory
from nfml_jax.errors import UserError

NEXT = """\
Wrote configs/ and experiments/ to {folder}. Now:

  cd {folder}
  nfml train --config=arcface_mnist:smoke   # seconds; every config has this form
  nfml train --config=arcface_mnist         # the whole run
  nfml results runs/                        # a table of all runs

A config of your own is one file in configs/: copy one, and name it in --config.
"""


@command
def main(arguments=None) -> None:
    """Run the command `nfml init`."""
    parser = make_parser("init", __doc__)
    parser.add_argument(
        "folder", type=Path, help="a folder without configs/ and experiments/"
    )
    folder = parser.parse_args(arguments).folder
    for name in FOLDERS:
        if (folder / name).exists():
            raise UserError(
                f"{folder / name} exists already; give another folder, or move it away."
            )
    source = laboratory()
    try:
        for name in FOLDERS:
            shutil.copytree(
                source / name,
                folder / name,
                ignore=shutil.ignore_patterns("__pycache__"),
            )
    except OSError as problem:
        raise UserError(
            f"cannot write in {folder} ({problem.strerror}); give a folder that you "
            "may write to."
        ) from None
    print(NEXT.format(folder=folder))
