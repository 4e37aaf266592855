"""The library's operators: see which ones a call uses, and withhold them.

What a trace finds is a runner's word. Withholding needs no word: an operator that is gone cannot have computed
what then lies, right, in the judge's memory.
"""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from . import arrays

_FILLS = frozenset(
    [
        "empty",
        "empty_strided",
        "empty_like",
        "new_empty",
        "new_empty_strided",
        "empty_permuted",
        "resize_",
        "resize_as_",
        "set_",
        "zeros",
        "zeros_like",
        "new_zeros",
        "zero_",
        "ones",
        "ones_like",
        "new_ones",
        "full",
        "full_like",
        "new_full",
        "fill_",
        "scalar_tensor",
        "lift",
        "lift_fresh",
        "_local_scalar_dense",
        "is_pinned",
        "pin_memory",
        "_pin_memory",
        "_has_same_storage_numel",
        "_nested_tensor_storage_offsets",
        "sym_size",
        "sym_stride",
        "sym_numel",
        "sym_storage_offset",
    ]
)
"""Memory, constants and questions: no work on values."""
_MOVES = frozenset(["copy_", "clone", "_to_copy", "_copy_from", "_copy_from_and_resize", "contiguous"])
"""Copies between layouts and dtypes: glue, unless copying is the whole problem."""
_COMPILER, _COMPILING = "torch._inductor.compile_fx", "torch::compile"

LIBRARY, MOVE, FREE = "library", "move", "free"


def kind_of(name: str, returns: Any) -> str:
    """Whether an operator computes, moves or does neither. ``name`` is ``namespace::operator``."""
    base = name.partition("::")[2]
    if base in _FILLS or any(r.alias_info is not None and not r.alias_info.is_write for r in returns):
        return FREE
    return MOVE if base in _MOVES else LIBRARY


def _size(values: Any) -> int:
    if isinstance(values, torch.Tensor):
        return values.numel() * values.element_size() if values.layout is torch.strided else 0
    if isinstance(values, dict):
        values = values.values()
    return sum(map(_size, values)) if isinstance(values, (list, tuple, type({}.values()))) else 0


class Trace(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts the operators that work on values: calls, bytes read and written, flops where known."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        from torch.utils.flop_counter import flop_registry

        self.flops = flop_registry
        self.found: dict[str, list[Any]] = {}

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # or torch would import Dynamo, a second, only to be told to leave this alone

    def call(self, func: Any, args: Any, kwargs: Any) -> Any:
        """Call an operator; what counts calls is around this."""
        return func(*args, **kwargs)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = self.call(func, args, kwargs or {})
        schema = func._schema
        kind = kind_of(schema.name, schema.returns)
        if kind != FREE:
            entry = self.found.setdefault(schema.name, [kind, 0, 0, 0.0])
            entry[1] += 1
            entry[2] += _size(args) + _size(kwargs or {}) + _size(result)
            count = self.flops.get(func.overloadpacket)
            if count is not None:
                entry[3] += float(count(*args, **(kwargs or {}), out_val=result))
        return result

    def add(self, name: str, size: int) -> None:
        """Count a call that passes no dispatcher."""
        entry = self.found.setdefault(name, [LIBRARY, 0, 0, 0.0])
        entry[1] += 1
        entry[2] += size

    def report(self) -> dict[str, Any]:
        """Operators as ``name: [kind, calls, bytes, flops]``; torch's compiler counts as one."""
        if _gate.asked or _COMPILER in sys.modules:
            self.found[_COMPILING] = [LIBRARY, 1, 0, 0.0]
        return {"operators": self.found}


def interpreted() -> bool:
    """Whether Triton is interpreted here: it computes with NumPy, on the candidate's behalf."""
    return os.environ.get("TRITON_INTERPRET") == "1"


class LibraryWithheld(RuntimeError):
    """A candidate called what it was to do itself."""

    kind = "policy"


class _Gate:
    """Keeps torch's compiler out: kernels it writes are the library's work, and pass no dispatcher."""

    def __init__(self) -> None:
        self.asked = False

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> None:
        """What the import system asks; refuses the compiler and knows no other module."""
        if name == _COMPILER:
            self.asked = True
            _refusal(_COMPILING)()

    def shut(self) -> None:
        """Refuse from now on; what was compiled before stays."""
        if self not in sys.meta_path:
            sys.meta_path.insert(0, self)
        if _COMPILER in sys.modules:
            vars(sys.modules[_COMPILER])["compile_fx"] = lambda *_, **__: self.find_spec(_COMPILER)


_gate = _Gate()
_refused: set[str] = set()
_held: list[Any] = []


def _refusal(name: str) -> Callable[..., Any]:
    def refuse(*args: Any, **kwargs: Any) -> Any:
        _refused.add(name)
        raise LibraryWithheld(f"calls the library operator {name}")

    return refuse


def refused() -> list[str]:
    """What was called although it was withheld, whatever became of the exception."""
    return sorted(_refused)


def traced(function: Callable[..., Any], arguments: Any) -> dict[str, Any]:
    """Call once under a trace. A candidate that asks for torch's compiler is stopped there and reported."""
    _gate.shut()
    with Trace() as seen:
        if not interpreted():
            arrays.watch(seen.add)
        try:
            function(*arguments)
        except Exception:
            if not _gate.asked:
                raise
    report: dict[str, Any] = seen.report()
    return report


def withhold(*, copies: bool) -> int:
    """Take the CPU kernels of all operators that compute from this process, and with ``copies`` those that copy.

    Done in the dispatcher, so it holds for Python, for C++ and for every thread. ``copy_`` itself stays: what
    a candidate returns is copied into the ring with it. Returns how many are gone.
    """
    libraries: dict[str, Any] = {}
    count = 0
    has, impl = torch._C._dispatch_has_kernel_for_dispatch_key, torch._C._dispatch_library
    kept = (FREE,) if copies else (FREE, MOVE)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for schema in torch._C._jit_get_all_schemas():
            name = f"{schema.name}.{schema.overload_name}" if schema.overload_name else schema.name
            try:
                there = has(name, "CPU") or has(name, "CompositeExplicitAutograd")
            except RuntimeError:  # TorchScript's own, which no tensor reaches
                continue
            if not there or schema.name == "aten::copy_" or kind_of(schema.name, schema.returns) in kept:
                continue
            space, _, rest = name.partition("::")
            if space not in libraries:
                libraries[space] = impl("IMPL", space, "", __file__, 1)
            libraries[space].impl(rest, "CPU", _refusal(schema.name))
            count += 1
    _held.append(libraries)
    _gate.shut()
    if not interpreted():
        arrays.watch(lambda name, _: _refusal(name)())
    return count
