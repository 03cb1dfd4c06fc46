"""ArcFace on your own pictures: `configs/folder.py:arcface` under its earlier name.

python launch.py --config=configs/arcface_folder.py --config.data.root=photos/
"""

from configs import folder


def get_config(arg=None):
    return folder.get_config(",".join(filter(None, ("arcface", arg))))
