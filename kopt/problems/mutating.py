"""Break a reference on purpose, one small piece at a time, for the lint. Runs inside the sandbox.

Two kinds of damage: an operation is left out (its result replaced by one of its operands), or a
parameter is zeroed. If the judge does not notice, the problem cannot tell a
kernel that forgot that piece from a right one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

from kopt.problems.inside import InsideProblem
from kopt.problems.instance import Instance

MOST_OPERATIONS = 16
MOST_STATE = 16
_FREE_NAMES = """
__get__ __set__ __getitem__ __setitem__ __len__ __format__ __repr__ view view_as reshape reshape_as
contiguous to type type_as float double half bfloat16 clone detach detach_ expand expand_as
broadcast_to transpose permute t movedim swapaxes squeeze unsqueeze flatten unflatten requires_grad_
dropout dropout_ alpha_dropout feature_dropout chunk split unbind zeros_like ones_like empty_like
full_like rand_like randn_like new_zeros new_ones new_empty new_full size dim stride numel
is_floating_point _set_grad_enabled
"""
_FREE = frozenset(_FREE_NAMES.split())
"""Calls that compute nothing, so that leaving them out proves nothing."""


def is_free(name: str) -> bool:
    """Whether a call of this name computes nothing."""
    return name in _FREE or name.startswith("_has_")


class _Drop(TorchFunctionMode):
    """Counts droppable calls, noting what each is; with ``target`` set, leaves that one out."""

    def __init__(self, target: tuple[int, int] | None = None) -> None:
        super().__init__()
        self.target = target
        self.calls = 0
        self.found: list[tuple[int, int, str]] = []

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = getattr(func, "__name__", "")
        if is_free(name):
            return func(*args, **(kwargs or {}))
        call, self.calls = self.calls, self.calls + 1
        if self.target is not None and self.target[0] == call:
            return args[self.target[1]]
        shapes = [tuple(a.shape) if isinstance(a, torch.Tensor) else None for a in args]
        result = func(*args, **(kwargs or {}))
        if self.target is None and isinstance(result, torch.Tensor) and result.is_floating_point():
            for place, value in enumerate(args):
                if shapes[place] == tuple(result.shape) and value.dtype is result.dtype:
                    self.found.append((call, place, name))
        return result


class Mutated(torch.nn.Module):
    """The original model with one operation left out, or one state tensor filled with ``value`` during the call."""

    def __init__(
        self, original: Any, target: tuple[int, int] | None, state: str | None, value: float = 0.0
    ) -> None:
        super().__init__()
        # In a tuple, so that it is not registered as a submodule.
        self._parts = (original, target, state, value)

    @property
    def original(self) -> Any:
        """The model before the damage."""
        return self._parts[0]

    def forward(self, *args: Any) -> Any:
        """The damaged call; the state is put back afterwards."""
        original, target, state, value = self._parts
        if state is None:
            with _Drop(target):
                return original(*args)
        tensor = original.state_dict()[state]
        saved = tensor.clone()
        with torch.no_grad():
            tensor.fill_(value)
            try:
                return original(*args)
            finally:
                tensor.copy_(saved)


def survey(problem: InsideProblem) -> dict[str, Any]:
    """What can be damaged: ``operations`` [[call, operand, name]...], ``state`` names, ``neutral`` state."""
    instance = _selected(problem)
    args = instance.inputs(0)
    found = droppable(instance, args)
    step = max(1, -(-len(found) // MOST_OPERATIONS))
    state, neutral = _state(instance, args)
    return {
        "operations": [list(f) for f in found[::step]],
        "state": state[:MOST_STATE],
        "neutral": neutral,
    }


def droppable(instance: Instance, arguments: Sequence[Any]) -> list[tuple[int, int, str]]:
    """Calls that could be left out: number (from 0, of those that compute something), operand to take instead, name."""
    mode = _Drop()
    with torch.no_grad(), mode:
        instance.model(*arguments)
    instance.restore()
    return mode.found


def damage(
    problem: InsideProblem, operation: list[int] | None = None, state: str | None = None
) -> dict[str, Any]:
    """Replace the instance's model by a damaged one; with neither argument, put the original back."""
    instance = _selected(problem)
    original = instance.model.original if isinstance(instance.model, Mutated) else instance.model
    whole = operation is None and state is None
    target = (operation[0], operation[1]) if operation else None
    instance.model = original if whole else Mutated(original, target, state)
    return {}


def _selected(problem: InsideProblem) -> Instance:
    if problem.selected is None:
        raise ValueError("no workload is selected")
    return problem.selected


def _state(instance: Instance, args: list[Any]) -> tuple[list[str], dict[str, str]]:
    """State whose loss should show, and state that is all zeros or ones, whose loss cannot."""
    tensors = {
        name: tensor
        for name, tensor in instance.state().items()
        if tensor.is_floating_point() and tensor.numel()
    }
    names, neutral = [], {}
    plain = instance.outputs_of(instance.run(args)) if tensors else []
    for name, tensor in tensors.items():
        saved = tensor.clone()
        tensor.add_(0.5)
        shifted = instance.outputs_of(instance.run(args))
        tensor.copy_(saved)
        if all(
            torch.equal(a, b) for a, b in zip(plain, shifted, strict=True)
        ):  # running statistics in training mode, for one
            continue
        for value in (0.0, 1.0):
            if bool((saved == value).all()):
                neutral[name] = "zeros" if value == 0 else "ones"
        if neutral.get(name) != "zeros":
            names.append(name)
    instance.restore()
    return names, neutral
