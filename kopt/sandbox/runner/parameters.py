"""Give a candidate's module the reference's parameters, already while it is constructed.

A constructor may prepare weights (transpose them, fold a normalisation into a convolution), so each parameter has
its value as soon as it is assigned to the module.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

import torch


def take_over(
    module: torch.nn.Module, given: Mapping[str, torch.Tensor], settled: Mapping[str, float]
) -> int:
    """Copy what has the same name and shape; returns how many.

    Of what the reference was constructed with as a constant (``settled``: by name, that constant), a module that
    uses other names gets the values too: a constant of the same shape and value stands for it, in order.
    """
    own = module.state_dict(keep_vars=True)
    copied = sum(_copy(tensor, given.get(name)) for name, tensor in own.items())
    rest = {name: tensor for name, tensor in own.items() if name not in given}
    for name, value in settled.items():
        if name in own or name not in given:
            continue
        for other, tensor in rest.items():
            if tensor.shape == given[name].shape and bool((tensor == value).all()):
                copied += _copy(tensor, given[name])
                del rest[other]
                break
    return copied


@contextlib.contextmanager
def filling(kind: type, given: Mapping[str, torch.Tensor]) -> Iterator[None]:
    """While a module of ``kind`` is constructed, what it assigns to itself takes over its values at once."""
    if not given or not issubclass(kind, torch.nn.Module):
        yield
        return
    had = "__setattr__" in vars(kind)
    before: Any = kind.__setattr__

    def assign(self: torch.nn.Module, name: str, value: Any) -> None:
        before(self, name, value)
        if type(self) is not kind:
            return
        if isinstance(value, torch.nn.Module):
            for inner, tensor in value.state_dict(prefix=f"{name}.", keep_vars=True).items():
                _copy(tensor, given.get(inner))
        elif isinstance(value, torch.Tensor) and (name in self._parameters or name in self._buffers):
            _copy(value, given.get(name))

    kind.__setattr__ = assign  # type: ignore[method-assign]
    try:
        yield
    finally:
        if had:
            kind.__setattr__ = before  # type: ignore[method-assign]
        else:
            del kind.__setattr__


def _copy(tensor: Any, value: torch.Tensor | None) -> bool:
    if value is None or not isinstance(tensor, torch.Tensor) or tensor.shape != value.shape:
        return False
    with torch.no_grad():
        tensor.copy_(value)
    return True
