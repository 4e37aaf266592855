"""The verified domain: which arguments a kernel was judged with, and why others do not fit.

A domain is a set of exact signatures. Shapes between two verified ones are not in it: a kernel may have sizes
compiled in, and outside them it would read and write memory that is not its own.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

ALIGNMENT = 64
"""Bytes. Kernels were judged on page-aligned memory and may load whole lines; torch aligns its own so."""

Key = tuple[Any, ...]


@dataclass(frozen=True)
class Output:
    """What to allocate for one output."""

    shape: tuple[int, ...]
    strides: tuple[int, ...]
    dtype: torch.dtype


@dataclass(frozen=True)
class Signature:
    """One verified workload: its arguments then its state, and its outputs."""

    workload: str
    names: tuple[str, ...]
    key: Key
    tensors: tuple[int, ...]
    state: tuple[str, ...]
    outputs: tuple[Output, ...]

    def empty_outputs(self) -> list[torch.Tensor]:
        """Memory for the outputs, on the CPU."""
        return [torch.empty_strided(o.shape, o.strides, dtype=o.dtype) for o in self.outputs]


def one_or_all(outputs: Sequence[torch.Tensor]) -> Any:
    """Outputs as a reference returns them: one by itself, several as a tuple."""
    return outputs[0] if len(outputs) == 1 else tuple(outputs)


def signature(spec: Mapping[str, Any], device: str) -> Signature:
    """Read a signature from a workload's specification (a ``WorkloadSpec`` as JSON)."""
    arguments = [*spec["arguments"], *spec["state"]]
    parts = [
        (device, getattr(torch, a["dtype"]), tuple(a["shape"]), tuple(a["strides"]))
        if a["kind"] == "tensor"
        else frozen(a["value"])
        for a in arguments
    ]
    return Signature(
        workload=str(spec["workload"]["name"]),
        names=tuple(a["name"] for a in arguments),
        key=tuple(parts),
        tensors=tuple(i for i, a in enumerate(arguments) if a["kind"] == "tensor"),
        state=tuple(a["name"] for a in spec["state"]),
        outputs=tuple(
            Output(tuple(o["shape"]), tuple(o["strides"]), getattr(torch, o["dtype"]))
            for o in spec["outputs"]
        ),
    )


def frozen(value: Any) -> Any:
    """A hashable stand-in for an argument that is not a tensor; equal to that of the same value from JSON."""
    if isinstance(value, torch.Tensor):
        return _tensor_key(value)
    return json.dumps(value, sort_keys=True, default=repr)


def _tensor_key(tensor: torch.Tensor) -> Any:
    return (tensor.device.type, tensor.dtype, tensor.shape, tensor.stride())


def key_of(args: Sequence[Any]) -> Key:
    """The key under which a call is looked up."""
    return tuple(_tensor_key(a) if isinstance(a, torch.Tensor) else frozen(a) for a in args)


def unusable(args: Sequence[Any]) -> str | None:
    """Why tensors of the right shapes still cannot be handed to a kernel, or None."""
    grad = torch.is_grad_enabled()
    for place, a in enumerate(args):
        if not isinstance(a, torch.Tensor):
            continue
        if type(a) is not torch.Tensor and type(a) is not torch.nn.Parameter:
            return f"argument {place} is a {type(a).__name__}, not a plain tensor"
        if grad and a.requires_grad:
            return f"argument {place} requires grad and the kernel has no backward: use torch.no_grad()"
        if a.is_conj() or a.is_neg():
            return (
                f"argument {place} is a lazy conjugate or negation; call .resolve_conj().resolve_neg() on it"
            )
        try:
            address = a.data_ptr()
        except RuntimeError:
            return f"argument {place} has no memory of its own (inside vmap or another transform)"
        if address % ALIGNMENT:
            return f"argument {place} is not aligned to {ALIGNMENT} bytes; call .clone() on it"
    return None


def mismatch(args: Sequence[Any], signatures: Sequence[Signature]) -> str:
    """Say how a call differs from the closest verified one."""
    closest: tuple[int, str] | None = None
    for one in signatures:
        agreeing, text = _compare(args, one)
        if closest is None or agreeing > closest[0]:
            closest = (agreeing, text)
    return closest[1] if closest else "the certificate names no workload"


def _compare(args: Sequence[Any], one: Signature) -> tuple[int, str]:
    if len(args) != len(one.key):
        return -1, f"called with {len(args)} arguments, verified with {len(one.key)} ({', '.join(one.names)})"
    agreeing, text = 0, "it matches"
    for name, got, certified in zip(one.names, key_of(args), one.key, strict=True):
        if got == certified:
            agreeing += 1
        elif text == "it matches":
            text = f"{name}: " + _difference(got, certified)
    return agreeing, text


def _difference(got: Any, certified: Any) -> str:
    if isinstance(got, str) or isinstance(certified, str):
        return f"got {_describe(got)}, verified with {_describe(certified)}"
    for what, a, b in zip(("device", "dtype", "shape", "strides"), got, certified, strict=True):
        if a != b:
            plain = [str(tuple(x)) if isinstance(x, tuple) else str(x).removeprefix("torch.") for x in (a, b)]
            return f"{what} {plain[0]} was not verified ({plain[1]} was)"
    return "it differs"


def _describe(key: Any) -> str:
    return str(key) if isinstance(key, str) else f"a {str(key[1]).removeprefix('torch.')} tensor"
