"""What must still be judged correct after every attack on the sandbox."""

import torch


def run(x):
    return torch.nn.functional.silu(x)
