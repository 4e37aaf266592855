# habit: torch.jit.script, with a task forked and waited for
# problem: silu
import torch


def part(x: torch.Tensor) -> torch.Tensor:
    return x * torch.sigmoid(x)


@torch.jit.script
def both(x: torch.Tensor) -> torch.Tensor:
    half = x.shape[0] // 2
    upper = torch.jit.fork(part, x[:half])
    lower = part(x[half:])
    return torch.cat([torch.jit.wait(upper), lower])


def run(x):
    return both(x)
