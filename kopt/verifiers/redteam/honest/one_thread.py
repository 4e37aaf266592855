# habit: one thread only, set when it is imported
# problem: softmax
import torch

torch.set_num_threads(1)


def run(x):
    return torch.softmax(x, -1, dtype=torch.float32).half()
