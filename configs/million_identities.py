r"""ArcFace (Deng et al. 2019) on a million synthetic identities.

None of them is stored: a view is drawn when it is needed, of the identity's traits, of
circumstances twice as large, and of noise. The class weights lie split over the devices
there are, and are summed over some at a time, so that no [batch, classes] is ever held.
With embeddings of 512, weights and gradient take 2 GB each in float32 and the momentum,
in bfloat16, 1 GB::

    python launch.py --config=configs/million_identities.py \
        --config.train.total="5 steps" --config.optimizer.warmup=None

is what one core of a CPU does in four minutes, a checkpoint and the evaluation
included; an epoch, each identity seen once, is 2,000 steps. With fewer identities a
smaller network learns on a CPU in half a minute. Of 2,000 views of unknown identities,
searched among 1,000, 3.7 % are found by the views themselves, 93.8 ± 0.3 % by the
embeddings, and 92.7 ± 0.7 % with `head.class_share=0.1`, as Partial FC (three seeds, 95
% intervals; results/identities); the angle to the own weight ends at 31 degrees::

    python launch.py --config=configs/million_identities.py:2000
"""

from configs import defaults


def get_config(arg=None):
    from nfml_jax.heads import MARGINS  # imported here, since it imports JAX

    name, count, smoke = defaults.read_argument(arg, "arcface", 1_000_000, MARGINS)
    if smoke:
        count = min(count, 150)
    few = count <= 100_000
    config = defaults.training(f"{name}_{count}_identities", "identities")
    config.identities = {
        "count": count,
        "size": 128,  # numbers in a view
        "traits": 32,  # independent traits of an identity
        "circumstances": 32,  # independent circumstances of a view
        "disturbance": 2.0,  # their size relative to the traits
        "noise": 0.1,
        "seed": 0,
    }
    config.encoder = {
        "name": "mlp",
        "embedding_size": 64 if few else 512,
        "hidden": (256,) if few else (1024,),
        "dtype": "float32",
    }
    config.head = {
        "name": name,  # any of nfml_jax.heads.MARGINS with a scale
        "scale": 32.0,
        "warmup_steps": 200,
        "summation": "sharded_streamed",  # see nfml_jax.heads.SUMMATIONS
        "class_chunk": 2048,  # classes held at a time
        "class_share": 1.0,  # below 1: Partial FC, on a sample of the classes
    }
    config.report = {"identities": 1000, "probes": 2}
    config.optimizer.name = "sgd_bfloat16"
    config.optimizer.learning_rate = 0.1
    config.optimizer.multipliers.head = 10.0
    config.train.batch_size = 256 if few else 512
    config.train.total = "1500 steps" if few else "20000 steps"
    config.train.log_every = "50 steps" if few else "10 steps"
    config.train.evaluate_every = "500 steps"
    config.train.checkpoint_every = "500 steps"
    if smoke:
        config.report = {"identities": 50, "probes": 1}
    return defaults.finish(config, smoke)
