# habit: an operator of its own, registered with torch.library when imported
# problem: scan
import torch


@torch.library.custom_op("honest::running_sum", mutates_args=())
def running_sum(x: torch.Tensor) -> torch.Tensor:
    return torch.cumsum(x, -1, dtype=torch.float64).float()


@running_sum.register_fake
def _(x):
    return torch.empty_like(x)


def run(x):
    return torch.ops.honest.running_sum(x)
