# habit: gradients switched on; silu as the derivative of another function
# problem: silu
import torch


def run(x):
    with torch.enable_grad():
        v = x.detach().requires_grad_()
        (slope,) = torch.autograd.grad(torch.nn.functional.softplus(v, threshold=30).sum(), v)
    return x * slope
