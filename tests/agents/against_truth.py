"""What a generated kernel must be: right where the reference is right, NaN where it is NaN, as precise within 8x."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any

import torch

from kopt.agents.offline import width
from kopt.agents.offline.graph import Graph
from kopt.agents.offline.plan import Plan
from kopt.agents.tunables import instantiate


def check(
    recognise: Callable[[Graph], Plan | None],
    model: Any,
    inputs: tuple[torch.Tensor, ...],
    fixtures: tuple[Any, Any, Any],
    **tunables: int,
) -> Plan:
    """Generate, compile, call and compare with the reference in float64."""
    graph_of, compiled, call = fixtures
    if not isinstance(model, torch.nn.Module):
        model = Called(model)
    plan = recognise(graph_of(model, *inputs))
    assert plan is not None
    candidate = next(iter(plan.candidates()))
    if tunables:
        candidate = instantiate(candidate, tunables)
    (reference,), (output,) = call(compiled(candidate), model, inputs)
    as_precise(output, reference, model, inputs)
    return plan


def as_precise(
    output: torch.Tensor, reference: torch.Tensor, model: torch.nn.Module, inputs: Sequence[torch.Tensor]
) -> None:
    """Compare an output with the model's in float64, and its error with the reference's."""
    with torch.no_grad():
        truth = copy.deepcopy(model).double()(*(x.double() if x.is_floating_point() else x for x in inputs))
    near_truth(output, reference, truth)


def near_truth(output: torch.Tensor, reference: torch.Tensor, truth: torch.Tensor) -> None:
    """Compare an output, and the reference's, with the truth in float64."""
    if not reference.is_floating_point():
        assert torch.equal(output, reference)
        return
    assert torch.equal(output.isnan(), truth.isnan())
    assert torch.equal(output.isinf(), reference.isinf())
    unit = 8 * torch.finfo(reference.dtype).eps * truth[truth.isfinite()].abs().max()
    allowed = 8 * _error(reference, truth) + unit
    assert _error(output, truth) <= allowed


def half() -> dict[str, int]:
    """The narrower of this machine's two register widths, where it has two."""
    return {tunable.name: int(min(tunable.choices)) for tunable in width.tunables()}


def _error(got: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    finite = truth.isfinite() & got.isfinite()
    return (got.double() - truth)[finite].abs().max()


class Called(torch.nn.Module):
    """A function as a model."""

    def __init__(self, function: Any) -> None:
        super().__init__()
        self.function = function

    def forward(self, *args: Any) -> Any:
        return self.function(*args)
