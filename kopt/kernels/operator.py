"""A kernel as an operator of torch: ``torch.compile``, ``torch.export`` and CUDA graphs take it as one node.

The operator is named after the kernel and its certificate, ``kopt::rms_norm_1a2b3c4d``: a graph that was exported
with it means these very bytes. It decides at each call whether its kernel may run, as :class:`~kopt.kernels.Kernel`
does, and runs the reference otherwise. Its shapes under tracing are those of the certificate, or of the reference
outside the verified domain; its gradients are the reference's, computed anew in the backward pass.

Defined by ``Library.define`` and ``impl``, which cost a third of what ``torch.library.custom_op`` adds to a call.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Sequence
from typing import Any, Protocol, cast

import torch

from kopt.kernels.domain import Signature, key_of, one_or_all

_TYPES = {torch.Tensor: "Tensor", bool: "bool", int: "int", float: "float", str: "str"}


class Callee(Protocol):
    """What an operator needs of a kernel."""

    name: str

    @property
    def signatures(self) -> Sequence[Signature]:
        """The verified domain."""
        ...

    def dispatch(self, args: tuple[Any, ...]) -> Any:
        """Run the kernel or the reference."""
        ...

    def fall_back(self, args: tuple[Any, ...]) -> Any:
        """Run the reference."""
        ...


_answering: dict[str, Callee] = {}


@functools.cache
def _library() -> Any:  # torch.library.Library, whose methods have no types
    return cast(Any, torch.library.Library)("kopt", "FRAGMENT")


def schema(name: str, signatures: Sequence[Signature]) -> str | None:
    """The operator's schema, or None where it has none: an argument is a list, or not of one type in all workloads."""
    kinds = {tuple(_TYPES.get(_type(part)) for part in one.key) for one in signatures}
    if len(kinds) != 1 or None in (only := kinds.pop()):
        return None
    takes = ", ".join(f"{kind} x{place}" for place, kind in enumerate(only))
    gives = ", ".join("Tensor" for _ in signatures[0].outputs)
    return f"{name}({takes}) -> {gives if len(signatures[0].outputs) == 1 else f'({gives})'}"


def literals(one: Signature) -> list[tuple[int, type]]:
    """Where arguments are no tensors, and of which type: torch would make a float of an integer unasked."""
    return [(at, kind) for at, part in enumerate(one.key) if (kind := _type(part)) is not torch.Tensor]


def _type(part: Any) -> type:
    return torch.Tensor if isinstance(part, tuple) else type(json.loads(part))


def register(kernel: Callee, digest: str) -> torch._ops.OpOverload | None:
    """The operator of a kernel whose certificate has this digest; None where a schema cannot say its arguments.

    The same bytes have one operator wherever they lie, and the kernel that was loaded last answers.
    """
    name = f"{kernel.name}_{digest[:8]}"
    said = schema(name, kernel.signatures)
    if said is None:
        return None
    known = name in _answering
    _answering[name] = kernel
    if not known:
        _define(name, said)
    found: torch._ops.OpOverload = getattr(torch.ops.kopt, name).default
    return found


def _define(name: str, said: str) -> None:
    library = _library()
    library.define(said)
    library.impl(name, functools.partial(_run, name), "CompositeExplicitAutograd")
    torch.library.register_fake(f"kopt::{name}", functools.partial(_fake, name), lib=library)
    torch.library.register_autograd(
        f"kopt::{name}", functools.partial(_backward, name), setup_context=_keep, lib=library
    )


def _run(name: str, *args: Any) -> Any:
    with torch.no_grad():  # gradients are the operator's: without this the reference would run for them
        return _own(_answering[name].dispatch(args), args)


def _own(result: Any, args: Sequence[Any]) -> Any:
    """The results, copied where one shares memory with an argument or another: operators may not alias."""
    seen = {_storage(a) for a in args if isinstance(a, torch.Tensor)}
    owned = []
    for one in _several(result):
        owned.append(one.clone() if _storage(one) in seen else one)
        seen.add(_storage(one))
    return one_or_all(owned)


def _several(result: Any) -> Sequence[torch.Tensor]:
    return result if isinstance(result, (tuple, list)) else [result]


def _storage(tensor: torch.Tensor) -> int:
    """What tensors that share memory have in common, fake ones too, which have no address."""
    return int(tensor.untyped_storage()._cdata)


def _fake(name: str, *args: Any) -> Any:
    """What comes out, without its contents."""
    kernel = _answering[name]
    if all(isinstance(size, int) for a in args if isinstance(a, torch.Tensor) for size in a.shape):
        key = key_of(args)
        for one in kernel.signatures:
            if one.key == key:
                return one_or_all(one.empty_outputs())
    return _own(kernel.fall_back(args), args)


def _keep(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
    ctx.save_for_backward(*(a for a in inputs if isinstance(a, torch.Tensor)))
    ctx.others = [None if isinstance(a, torch.Tensor) else a for a in inputs]


def _backward(name: str, ctx: Any, *gradients: torch.Tensor | None) -> tuple[torch.Tensor | None, ...]:
    tensors = iter(ctx.saved_tensors)
    places = ctx.needs_input_grad
    # a gradient of this gradient is wanted: the graph goes on to the arguments
    again = torch.is_grad_enabled()

    def argument(other: Any, wanted: bool) -> Any:
        if other is not None:
            return other
        tensor = next(tensors)
        return tensor if again else tensor.detach().requires_grad_(wanted)

    args = [argument(other, wanted) for other, wanted in zip(ctx.others, places, strict=True)]
    with torch.enable_grad():
        result = _answering[name].fall_back(tuple(args))
    pairs = zip(_several(result), gradients, strict=True)
    reached = [(o, g) for o, g in pairs if o.requires_grad and g is not None]
    if not reached:
        raise RuntimeError(f"the reference of {name} has no gradient: call it under torch.no_grad()")
    leaves = [a for a, wanted in zip(args, places, strict=True) if wanted]
    found = iter(
        torch.autograd.grad(
            [o for o, _ in reached], leaves, [g for _, g in reached], allow_unused=True, create_graph=again
        )
    )
    return tuple(next(found) if wanted else None for wanted in places)
