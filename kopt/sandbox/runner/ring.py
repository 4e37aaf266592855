"""Tensors over memory the judge shares."""

from __future__ import annotations

import mmap
import os
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import torch


def extent(shape: Sequence[int], strides: Sequence[int]) -> int:
    """Elements spanned by a strided tensor."""
    if not all(shape):
        return 0
    return 1 + sum((size - 1) * stride for size, stride in zip(shape, strides, strict=True))


def tensor_at(memory: mmap.mmap, offset: int, item: Mapping[str, Any]) -> torch.Tensor:
    """The tensor described by ``item`` (dtype, shape, strides in elements) at a byte offset."""
    dtype = getattr(torch, item["dtype"])
    shape, strides = item["shape"], item["strides"]
    count = extent(shape, strides)
    if not count:
        return torch.empty_strided(shape, strides, dtype=dtype)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # state is mapped read-only on purpose
        flat = torch.frombuffer(memory, dtype=dtype, count=count, offset=offset)
    return flat.as_strided(shape, strides)


class Ring:
    """The slots of one ring, each a list of input and a list of output tensors."""

    def __init__(self, layout: Mapping[str, Any], fd: int, *, writable: bool = True) -> None:
        size = os.fstat(fd).st_size
        protection = mmap.PROT_READ | (mmap.PROT_WRITE if writable else 0)
        # Populated now: no page fault is left for a timed round.
        memory = mmap.mmap(fd, size, flags=mmap.MAP_SHARED | mmap.MAP_POPULATE, prot=protection)
        self.layout = layout
        self.inputs: list[list[torch.Tensor]] = []
        self.outputs: list[list[torch.Tensor]] = []
        for slot in range(layout.get("slots", 1)):
            base = slot * layout.get("stride", 0)
            sides: dict[str, list[torch.Tensor]] = {"input": [], "output": []}
            for item in layout["tensors"]:
                tensor = tensor_at(memory, base + item["offset"], item)
                sides[item.get("role", "input")].append(tensor)
            self.inputs.append(sides["input"])
            self.outputs.append(sides["output"])

    def __len__(self) -> int:
        return len(self.inputs)
