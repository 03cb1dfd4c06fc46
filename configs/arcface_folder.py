"""ArcFace on your own images: a folder, or a zip, of one sub-folder per class.

    python launch.py --config=configs/arcface_folder.py --config.data.root=photos/

Training takes 2.5 GB of memory on a CPU, in proportion to `train.batch_size`,
`encoder.width` and the square of `data.image_size`.
"""

from configs import defaults


def get_config(arg=None):
    config = defaults.margin("arcface_folder")
    config.data.name = "image_folder"
    config.data.root = ""  # root/<class>/*.png, .jpg, .pgm, ... or a .zip of that
    config.data.image_size = 64  # pixels a side
    config.data.channels = 3  # 1: grey
    config.data.stream = False  # True: read while training, if larger than memory
    config.data.workers = 0  # processes that read then; 0: threads
    config.data.test_fraction = 0.2  # unless root has train/ and test/ or val/
    config.augment = {"shift": 4.0, "rotate": 10.0, "scale": 0.1}
    config.encoder = {
        "name": "resnet18",
        "embedding_size": 128,
        "dtype": "float32",
        "width": 64,  # channels of the first stage
        "blocks": (2, 2, 2, 2),  # residual blocks of each stage
    }
    config.train.batch_size = 64
    config.head = defaults.angular_head("arcface", margin=0.5, scale=30.0)
    return defaults.finish(config, arg)
