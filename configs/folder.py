r"""Your own pictures: a folder, or a zip, of one sub-folder per class.

    python launch.py --config=configs/folder.py --config.data.root=photos/
    python launch.py --config=configs/folder.py:arcface --config.data.root=photos.zip
    python launch.py --config=configs/folder.py:triplet,64,resnet18 \
        --config.data.root=photos/ --config.data.image_size=48x64
    python launch.py --config=configs/folder.py --config.data.root=photos/ \
        --config.data.held_out=0.2  # or names; test on classes that were never seen
    python launch.py --config=configs/folder.py --config.data.root=photos/ \
        --config.data.labels=labels.csv  # path,label[,split]

The argument names a head of `nfml_jax.heads.MARGINS` or a loss of
`nfml_jax.losses.LOSSES`, an embedding size and an encoder of `nfml_jax.nets.NETS`, in
any order and each of them optional. All options of the three are on the command line.

`train.total` is a budget of pictures to look at, so a run on 300 pictures takes as long
as one on 4,000: about three minutes of CPU time. Twice the budget takes twice as long;
so do twice as many pixels. A step takes 64 pictures, or fewer where there are not as
many; `train.batch_size` sets another number.

Each picture is normalized by its surroundings (`encoder.standardize`), and pictures of
other proportions are padded (`data.fit`). Half of the embedding is a linear map of the
picture (`encoder.linear`). It starts from Fisher's axes, as large as they are worth on
classes that they don't know: much for aligned faces, nothing for objects in any place.
Training varies light, sharpness and place in half of the pictures that it draws, and
takes the others as they are (`augment.clean`), as those to test on are. Embeddings are
means of those of a picture and its mirror image. Set `augment.flip` and
`encoder.mirror` to False where left and right differ, as in writing. A margin warms up,
and a result has pixels, PCA and LDA beside the model.
"""

from configs import defaults


def get_config(arg=None):
    encoder, arg = defaults.take_encoder(arg, "cnn")
    name, size, smoke = defaults.read_argument(arg, "normface", 128)
    config = defaults.named("folder", name, defaults.FEW_PICTURES, per_class=4)
    defaults.show_options(config, warmup_steps=200)
    config.data.update(
        {
            "name": "image_folder",
            "root": None,  # root/<class>/*.png, .jpg, .pgm, ... or a .zip of that
            "labels": None,  # a table path,label[,split] instead of class folders
            "image_size": "40",  # pixels per side, or HEIGHTxWIDTH
            "channels": 3,  # 1: gray
            "fit": "pad",  # treatment of other proportions; or squeeze, or crop
            "stream": False,  # True: read while training, if larger than memory
            "workers": 0,  # processes that read; 0: threads
            "test_fraction": 0.2,  # fraction, unless root has train/ and test/ or val/
            "validation": 0.1,
        }
    )
    config.augment.update(
        {
            "shift": 3.0,
            "rotate": 10.0,
            "scale": 0.1,
            "flip": True,
            "resolution": 0.3,
            "light": 0.5,
            "gamma": 0.5,
            "contrast": 0.2,
            "brightness": 0.1,
            "erase": 0.15,
            "clean": 0.5,
        }
    )
    options = {"embedding_norm": True, "standardize": "local", "mirror": True}
    options["linear"] = size // 2 if size >= 16 else 0  # of the embedding
    if encoder == "cnn":
        options |= {"features": (16, 32, 64, 128), "hidden": 256, "norm": True}
    config.encoder = defaults.encoder_options(encoder, size, **options)
    config.train.batch_size = None  # 64, or fewer for a set that is smaller
    config.train.total = "60000 examples"
    config.train.log_every = "1600 examples"
    config.train.evaluate_every = "12000 examples"
    config.train.checkpoint_every = "12000 examples"
    config.train.steps_per_dispatch = 25
    config.train.report = "best"
    config.optimizer.learning_rate = 5e-3
    config.optimizer.weight_decay = 5e-4
    if "head" in config:  # class weights that see their class in few batches
        config.optimizer.multipliers.head = 10.0
    return defaults.finish(config, smoke)
