"""Kullback-Leibler divergence between two batches of distributions (2 x 64 MiB in, one number out)."""

import torch
import torch.nn as nn
import torch.nn.functional as F


class Model(nn.Module):
    def forward(self, predictions: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        return F.kl_div(torch.log(predictions), targets, reduction="batchmean")


batch_size = 2048
classes = 8192


def get_inputs():
    sharpness = torch.rand(()) + 0.5
    predictions = (torch.randn(batch_size, classes) * sharpness).softmax(dim=-1)
    targets = torch.randn(batch_size, classes).softmax(dim=-1)
    return [predictions, targets]


def get_init_inputs():
    return []
