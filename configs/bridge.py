r"""A flow on embeddings beside the cosine: unknown identities, names, scored pairs.

First train an encoder of some classes, then a class-conditional spline flow on its
embeddings. `data.outside` names the unknown identities: the digits that the encoder
never saw ("rest") or another data set, such as fashion_mnist.

    python launch.py --config=configs/mnist_losses.py:arcface,16 --workdir=runs/eight \
        --config.data.classes="('0','1','2','3','4','5','6','7')"
    python launch.py --config=configs/bridge.py --config.data.run=runs/eight

Two minutes of CPU time for the encoder and a minute and a half for the flow. The cosine
detects the digits 8 and 9 with an AUROC of 0.959, the flow with 0.886
(results/bridge_rest).
"""

from configs import defaults


def get_config(arg=None):
    config = defaults.digits("bridge")
    config.experiment = "bridge"
    config.data = {
        "run": None,  # the encoder's run directory
        "outside": "rest",  # or the name of a data set of images
        "seed": 0,
        "standardize": True,
        "max_train": None,
        "max_test": None,
    }
    return defaults.finish(config, arg)
