"""ArcFace on your own pictures, in three minutes: `configs/folder.py:arcface`.

python launch.py --config=configs/arcface_folder.py --config.data.root=photos/
"""

from configs import folder


def get_config(arg=None):
    return folder.get_config(",".join(filter(None, ("arcface", arg))))
