"""The Glow of `image_implementations.py` in the libraries of PyTorch."""

from harness import named, torch_on
from image_setting import ALPHA, PIXELS, RATE, SIDE, scales


def torch_tasks(module, log_prob, sample, args, wait):
    import torch

    images = torch.randint(0, PIXELS, (args.batch, 1, SIDE, SIDE))

    def dequantized():
        return (images + torch.rand(images.shape)) / PIXELS

    def train():
        optimizer.zero_grad()
        (-log_prob(dequantized()).mean()).backward()
        optimizer.step()
        wait()

    @torch.no_grad()
    def log_probs():
        log_prob(dequantized())
        wait()

    @torch.no_grad()
    def samples():
        (sample(args.batch) * PIXELS).floor()
        wait()

    log_probs()  # the first batch initializes the activation norms
    optimizer = torch.optim.Adam(module.parameters(), RATE)
    tasks = {"train": train, "log_prob": log_probs, "sample": samples}
    parameters = sum(p.numel() for p in module.parameters())
    return tasks, {"version": f"torch {torch.__version__}", "parameters": parameters}


def normflows(args):
    from importlib.metadata import version

    import normflows as nf

    wait = torch_on(args)
    bases, flows, merges = [], [], []
    for number, (side, channels) in enumerate(reversed([*scales()])):
        blocks = [
            nf.flows.GlowBlock(channels, args.hidden, scale_map="exp")
            for _ in range(args.steps)
        ]
        flows.append([*blocks, nf.flows.Squeeze()])
        if number:
            merges.append(nf.flows.Merge())
        latents = channels // 2 if number else channels
        bases.append(nf.distributions.DiagGaussian((latents, side, side), False))
    model = nf.MultiscaleFlow(
        bases, flows, merges, nf.transforms.Logit(ALPHA), class_cond=False
    )
    tasks, facts = torch_tasks(
        model,
        lambda x: model.log_prob(x, None),
        lambda n: model.sample(n)[0],
        args,
        wait,
    )
    return tasks, named("normflows", version("normflows"), facts)


def nflows(args):
    import warnings
    from importlib.metadata import version

    import torch
    from nflows import transforms
    from nflows.distributions import StandardNormal
    from nflows.flows import Flow
    from torch import nn

    # This version of nflows calls deprecated functions thousands of times.
    warnings.filterwarnings("ignore", message=".*is deprecated")
    wait = torch_on(args)

    class Network(nn.Sequential):
        def __init__(self, inputs, outputs):
            last = nn.Conv2d(args.hidden, outputs, 3, padding=1)
            nn.init.zeros_(last.weight)
            nn.init.zeros_(last.bias)
            super().__init__(
                nn.Conv2d(inputs, args.hidden, 3, padding=1),
                nn.ReLU(),
                nn.Conv2d(args.hidden, args.hidden, 1),
                nn.ReLU(),
                last,
            )

        def forward(self, x, context=None):
            return super().forward(x)

    every = [*scales()]
    whole = transforms.MultiscaleCompositeTransform(len(every))
    for side, channels in every:
        layers = [transforms.SqueezeTransform()]
        for _ in range(args.steps):
            mask = (torch.arange(channels) >= channels // 2).int()
            layers += [
                transforms.ActNorm(channels),
                transforms.OneByOneConvolution(channels),
                transforms.AffineCouplingTransform(mask, Network),
            ]
        part = transforms.CompositeTransform(layers)
        whole.add_transform(part, (channels, side, side))
    # The last map runs from pixels to the line, as the others do from data to latents.
    logit = transforms.CompositeTransform(
        [
            transforms.PointwiseAffineTransform(shift=ALPHA, scale=1 - 2 * ALPHA),
            transforms.Logit(),
        ]
    )
    flow = Flow(
        transforms.CompositeTransform([logit, whole]), StandardNormal([SIDE**2])
    )
    tasks, facts = torch_tasks(flow, flow.log_prob, flow.sample, args, wait)
    return tasks, named("nflows", version("nflows"), facts)
