"""The same Glow in three libraries, which `images.py` times.

Two scales of squeezes and equal steps: activation norm, a 1x1 convolution by its LU
factors, and an affine coupling of half of the channels, with a network of a 3x3, a 1x1
and a 3x3 convolution and rectified linear units. Pixels go through a logit, latents are
standard normal, and half of them leave after the first scale. Each implementation
returns its tasks, functions that run to the end, and facts for `serve`.
"""

from harness import compiled
from image_implementations_torch import nflows, normflows
from image_training import glow, images, training


def ours(args):
    import jax
    import numpy as np

    from nfml_jax.training.devices import divide_cpu
    from nfml_jax.training.inference import BatchedApply

    if args.platform == "cpu":
        divide_cpu(args.threads)
    key, model = jax.random.key(0), glow(args.steps, args.hidden)
    x, rows = images(args.batch), np.arange(args.batch, dtype=np.uint32)
    variables = jax.jit(model.init)(key, x, key)

    def log_prob(variables, rows, images):
        keys = jax.vmap(jax.random.fold_in, (None, 0))(key, rows)
        return model.apply(variables, images, keys)

    def sample(variables, rows):
        def latents(row):
            own = jax.random.fold_in(key, row)
            return model.apply(variables, own, method="sample_latents")

        return model.apply(variables, jax.vmap(latents)(rows), method="decode")

    dispatch, state, rest, mesh = training(model, variables, args.batch, args.runs)
    dispatch, seconds = compiled(dispatch, state, *rest)
    apply = BatchedApply(mesh, args.batch)

    def train():
        nonlocal state
        state, metrics = dispatch(state, *rest)
        jax.block_until_ready((state, metrics))

    tasks = {
        "train": train,
        "log_prob": lambda: apply(log_prob, variables, rows, x),
        "sample": lambda: apply(sample, variables, rows),
    }
    for name in "log_prob", "sample":
        tasks[name]()  # compiles
    facts = {"version": f"jax {jax.__version__}", "compile": {"train": seconds}}
    facts["parameters"] = sum(p.size for p in jax.tree.leaves(variables["params"]))
    return tasks, facts


IMPLEMENTATIONS = {"nfml_jax": ours, "normflows": normflows, "nflows": nflows}
