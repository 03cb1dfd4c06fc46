"""Options of heads and losses for classes that have a few pictures each.

They were chosen for two thousand people with three pictures each (configs/lfw.py): a
small scale, and margins smaller than the published ones, with a warm-up. Names without
a recipe here take their published numbers.
"""

from configs.defaults.images import annealing

SMALL = {"scale": 20.0, "warmup_steps": 100}
FEW_PICTURES = {
    "l2_softmax": {"scale": 20.0},
    "normface": {"scale": 20.0},
    "l_softmax": {"margin": 2, "annealing": annealing(minimum=5.0)},
    "sphereface": {"margin": 2, "annealing": annealing(minimum=5.0)},
    "sphereface_r": {"margin": 1.4} | SMALL,
    "cosface": {"margin": 0.2} | SMALL,
    "arcface": {"margin": 0.3} | SMALL,
    "combined": {"margin": (1.0, 0.2, 0.1)} | SMALL,
    "subcenter_arcface": {"margin": 0.3} | SMALL,
    "uniformface": {"margin": 0.2} | SMALL,
    "curricularface": {"margin": 0.3} | SMALL,
    "mv_arcface": {"margin": 0.3} | SMALL,
    "mv_cosface": {"margin": 0.2} | SMALL,
    "arcnegface": {"margin": 0.3} | SMALL,
    "adaface": {"margin": 0.3} | SMALL,
    "magface": SMALL,
    "elastic_arcface": {"margin": 0.3} | SMALL,
    "elastic_cosface": {"margin": 0.2} | SMALL,
    "triplet": {"margin": 0.2, "miner": "semi_hard"},
    "contrastive": {"margin": 1.0},
    "sup_con": {"temperature": 0.1},
}
