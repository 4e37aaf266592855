"""What a reference call costs at least: flops, and the bytes any implementation must read. How long its sums are."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter
from torch.utils.flop_counter import FlopCounterMode, _FlopCounterMode

_PARTIAL = frozenset(
    [
        "index",
        "index_select",
        "gather",
        "take",
        "take_along_dim",
        "embedding",
        "embedding_bag",
        "_embedding_bag",
        "narrow_copy",
        "tril",
        "triu",
        "masked_select",
        "im2col",
        "index_put",
        "index_put_",
        "scatter",
        "scatter_",
        "scatter_add",
        "index_add",
        "searchsorted",
        "bucketize",
        "nll_loss_forward",
        "nll_loss2d_forward",
        "slice_scatter",
        "select_scatter",
        "diagonal_copy",
        "max_unpool2d",
        "grid_sampler_2d",
        "upsample_nearest2d",
        "upsample_nearest1d",
        "upsample_nearest3d",
        "unfold_copy",
        "nonzero",
        "copy_",
    ]
)
"""Consumers that may leave elements unread. ``copy_`` is here because what it writes may never be used."""

_NOT_SUMMING = (
    "max",
    "min",
    "amax",
    "amin",
    "arg",
    "any",
    "all",
    "sort",
    "topk",
    "median",
    "mode",
    "kthvalue",
)
"""Beginnings of reductions' names that round nothing."""

_NOT_READING = ("_like", "new_", "empty", "resize", "set_")


@dataclass(frozen=True)
class Work:
    """Lower bounds of one call, and the terms of its longest sum (1 where it has none)."""

    flops: float
    bytes_read: int
    longest_sum: int


class _WholeReads(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Finds the tensors that some operator reads whole, following views."""

    def __init__(self, tensors: Iterable[torch.Tensor]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.by_storage: dict[int, torch.Tensor] = {}
        for tensor in tensors:
            if tensor.numel() and not _sparse_pattern(tensor):
                self.by_storage[tensor.untyped_storage().data_ptr()] = tensor
        self.read: set[int] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if not func.is_view and self._reads_whole(func, args):
            for value in tree_iter((args, kwargs)):
                if isinstance(value, torch.Tensor) and value.layout is torch.strided:
                    self._note(value)
        return result

    def _note(self, value: torch.Tensor) -> None:
        place = value.untyped_storage().data_ptr()
        source = self.by_storage.get(place)
        if source is None or place in self.read:
            return
        touched = math.prod(size for size, stride in zip(value.shape, value.stride(), strict=True) if stride)
        if touched >= source.numel():
            self.read.add(place)

    @staticmethod
    def _reads_whole(func: Any, args: Sequence[Any]) -> bool:
        name = func.overloadpacket.__name__
        if name in _PARTIAL or any(part in name for part in _NOT_READING):
            return False
        if "pool" in name and not name.startswith("_adaptive") and len(args) > 1:
            return _covers(args[1], args[2] if len(args) > 2 and args[2] else args[1])
        if "conv" in name and len(args) > 5 and isinstance(args[1], torch.Tensor):
            return max(args[3]) == 1 or (max(args[5]) == 1 and _covers(args[1].shape[2:], args[3]))
        return True


class _Sums(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Finds the longest sum: an operator's largest input over its smallest output, or an axis it normalises over.

    Sums of products are told by their flops instead.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.longest = 1

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        name = func.overloadpacket.__name__.lstrip("_")
        if not (func.is_view or name in _PARTIAL or f"_{name}" in _PARTIAL or name.startswith(_NOT_SUMMING)):
            given, made = _floating((args, kwargs)), _floating(result)
            if given and made:
                self.longest = max(
                    self.longest, max(t.numel() for t in given) // min(t.numel() for t in made)
                )
            if given and ("softmax" in name or name.startswith(("cumsum", "logcumsum", "cumprod"))):
                self.longest = max(self.longest, given[0].shape[args[1]] if given[0].dim() else 1)
            if given and "scaled_dot_product" in name:
                self.longest = max(self.longest, args[1].shape[-2])
        return result


def _floating(values: Any) -> list[torch.Tensor]:
    tensors = (v for v in tree_iter(values) if isinstance(v, torch.Tensor) and v.is_floating_point())
    return [v for v in tensors if v.numel()]


def _spare_dynamo(*modes: type[TorchDispatchMode]) -> None:
    """Keep these modes from importing Dynamo, a second of every reference's start, when they are first used.

    torch wraps ``__torch_dispatch__`` so that Dynamo does not trace it. Nothing is traced here; a torch that
    wraps otherwise takes that second, nothing else.
    """
    for mode in modes:
        inner = getattr(mode.__torch_dispatch__, "__wrapped__", None)
        if inner is not None:
            inner.__dict__.setdefault("__dynamo_disable", inner)


def account(model: Any, args: Sequence[Any], state: Mapping[str, torch.Tensor]) -> tuple[Any, Work]:
    """Run the model once; return its result and the work found."""
    tensors = [a for a in args if isinstance(a, torch.Tensor)] + list(state.values())
    reads = _WholeReads(tensors)
    counter = FlopCounterMode(display=False, custom_mapping=_MORE_FLOPS)
    sums = _Sums()
    _spare_dynamo(_WholeReads, _Sums, _FlopCounterMode)
    with torch.no_grad(), counter, reads, sums:
        result = model(*args)
    found = sum(reads.by_storage[p].numel() * reads.by_storage[p].element_size() for p in reads.read)
    return result, Work(float(counter.get_total_flops()), found, sums.longest)


def _attention_flops(
    query: Any, key: Any, value: Any, dropout: float = 0.0, causal: bool = False, **_: Any
) -> int:
    """Scores and weighted values; under a causal mask only the pairs that it lets through."""
    *batch, rows, size = query
    columns = key[-2]
    pairs = sum(min(row + 1, columns) for row in range(rows)) if causal else rows * columns
    return int(2 * math.prod(batch) * pairs * (size + value[-1]))


_MORE_FLOPS = {torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: _attention_flops}
"""Operators that torch's own counter does not know."""


def _covers(window: Any, stride: Any) -> bool:
    """Whether a window sliding by ``stride`` leaves no gap (a ragged end apart)."""
    windows, steps = list(window), list(stride)
    if len(steps) < len(windows):
        steps = steps * len(windows)
    return all(w >= s for w, s in zip(windows, steps, strict=False))


def _sparse_pattern(tensor: torch.Tensor) -> bool:
    """Whether many elements are exactly zero (a triangular matrix): a kernel may then rightly skip them."""
    return tensor.is_floating_point() and bool((tensor == 0).float().mean() > 0.25)
