"""How inputs lie in memory: which layouts reach a candidate as the problem's generator made them.

Gaps (``x[:, ::2]``, a padded transpose, a part of a cache) and repetition (``bias.expand(rows, -1)``) are carried: a
slot of shared memory holds everything from a tensor's first element to its last, the gaps filled with numbers that mean
nothing. What is made contiguous all the same:

* elements that overlap otherwise (``x.unfold(0, 3, 1)``, ``as_strided``). Nothing can be written there element by
  element, and hidden values for one would change another.
* gaps beyond eight times the elements and 16 MiB: the ring would hold little else.
* parameters and buffers, which are shared read-only and never timed by their layout.
"""

from __future__ import annotations

import math

import torch

_GAPS = 8
_SMALL = 16 << 20


def dense(tensor: torch.Tensor) -> bool:
    """Whether the elements fill their memory, without gap or overlap, in whatever order of axes."""
    return bool(torch.ops.aten.is_non_overlapping_and_dense(tensor)) if tensor.numel() else True


def once(tensor: torch.Tensor) -> torch.Tensor:
    """A view of every element once: axes that repeat the same ones (stride 0) have length one."""
    for axis, (size, stride) in enumerate(zip(tensor.shape, tensor.stride(), strict=True)):
        if size > 1 and not stride:
            tensor = tensor.narrow(axis, 0, 1)
    return tensor


def carried(tensor: torch.Tensor) -> bool:
    """Whether a candidate gets an input in this layout."""
    own = once(tensor)
    if dense(own):
        return True
    reach = 1
    for stride, size in sorted(zip(own.stride(), own.shape, strict=True)):
        if size > 1:
            if stride < reach:
                return False
            reach += (size - 1) * stride
    return reach <= _GAPS * own.numel() or reach * own.element_size() <= _SMALL


def store(target: torch.Tensor, value: torch.Tensor) -> None:
    """Copy ``value`` into ``target``, whose axes may repeat elements that ``value``'s repeat as well."""
    for axis, (size, stride) in enumerate(zip(target.shape, target.stride(), strict=True)):
        if size > 1 and not stride:
            target, value = target.narrow(axis, 0, 1), value.narrow(axis, 0, 1)
    target.copy_(value)


def contiguous(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Strides, in elements, of a contiguous tensor."""
    return tuple(math.prod(shape[i + 1 :]) for i in range(len(shape)))
