"""Run a reference in another floating-point precision, even where its code names ``torch.float32``."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

_FLOATS = (torch.float64, torch.float32, torch.float16, torch.bfloat16)
_CASTS = {"float", "double", "half", "bfloat16"}


class _Redirect(TorchFunctionMode):
    """Replaces every floating dtype that the reference asks for."""

    def __init__(self, dtype: torch.dtype) -> None:
        super().__init__()
        self.dtype = dtype

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if getattr(func, "__name__", "") in _CASTS and len(args) == 1 and isinstance(args[0], torch.Tensor):
            return args[0].to(self.dtype)
        redirected = tuple(self._redirect(a) for a in args)
        return func(*redirected, **{key: self._redirect(value) for key, value in (kwargs or {}).items()})

    def _redirect(self, value: Any) -> Any:
        return self.dtype if isinstance(value, torch.dtype) and value in _FLOATS else value


@contextlib.contextmanager
def precision(dtype: torch.dtype) -> Iterator[None]:
    """Within this, new floating tensors and casts are of ``dtype``."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        with _Redirect(dtype):
            yield
    finally:
        torch.set_default_dtype(before)


def converted(model: Any, dtype: torch.dtype) -> Any:
    """``model`` with parameters, buffers and plain tensor attributes in ``dtype``; changed in place."""
    if not isinstance(model, torch.nn.Module):
        return model
    model.to(dtype)
    for module in model.modules():
        for name, value in vars(module).items():
            if isinstance(value, torch.Tensor) and value.is_floating_point():
                setattr(module, name, value.to(dtype))
    return model
