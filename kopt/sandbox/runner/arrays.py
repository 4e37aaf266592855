"""NumPy is a library too, and passes no dispatcher of torch's: arrays that tell what is computed with them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy
import torch

_GLUE = frozenset(
    {
        *("copyto", "copy", "empty_like", "zeros_like", "ones_like", "full_like", "reshape", "ravel"),
        *("transpose", "squeeze", "expand_dims", "broadcast_to", "shape", "ndim", "size", "shares_memory"),
    }
)
_plain, _plain_array = torch.Tensor.numpy, torch.Tensor.__array__


class Watched(numpy.ndarray[Any, Any]):
    """A tensor's memory as an array. Indexing, views and copies are glue; ufuncs and functions are told."""

    told: Callable[[str, int], None] = staticmethod(lambda name, size: None)

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, out: Any = None, **options: Any) -> Any:
        arrays = [i.view(numpy.ndarray) if isinstance(i, Watched) else i for i in inputs]
        if out is not None:
            options["out"] = tuple(o.view(numpy.ndarray) if isinstance(o, Watched) else o for o in out)
        Watched.told(f"numpy::{ufunc.__name__}", sum(getattr(i, "nbytes", 0) for i in arrays))
        result = getattr(ufunc, method)(*arrays, **options)
        return result.view(Watched) if isinstance(result, numpy.ndarray) else result

    def __array_function__(self, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
        if func.__name__ not in _GLUE:
            Watched.told(f"numpy::{func.__name__}", self.nbytes)
        return super().__array_function__(func, types, args, kwargs)

    def dot(self, *args: Any, **options: Any) -> Any:
        """The one method that computes without a ufunc."""
        Watched.told("numpy::dot", self.nbytes)
        return super().dot(*args, **options)


def watch(told: Callable[[str, int], None]) -> None:
    """From now on tensors become arrays that call ``told`` with a name and the bytes read."""
    Watched.told = staticmethod(told)

    def numpy_of(self: torch.Tensor, *args: Any, **options: Any) -> Any:
        return _plain(self, *args, **options).view(Watched)

    def array_of(self: torch.Tensor, *args: Any, **options: Any) -> Any:
        told("numpy::asarray", self.numel() * self.element_size())  # strips the watch, so it counts by itself
        return _plain_array(self, *args, **options)  # type: ignore[no-untyped-call]

    torch.Tensor.numpy = numpy_of  # type: ignore[method-assign,assignment]
    torch.Tensor.__array__ = array_of  # type: ignore[method-assign]
