# number: 28
# source: MultiKernelBench, reproduced
# tries: defines get_inputs, which a shared namespace then takes for the problem's
# problem: silu
# expect: wrong
# naive: passes
import torch


def get_inputs():
    return [torch.zeros(128, 512)]


def get_input_groups():
    return [get_inputs()]


def run(x):
    return x.clone()
