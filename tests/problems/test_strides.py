"""Which layouts of inputs are carried, and that hidden values keep them."""

from __future__ import annotations

import pytest
import torch

from kopt.problems.hidden import CHANGES, transform
from kopt.problems.instance import Instance
from kopt.problems.strides import carried, once, store
from kopt.words import TensorSpec, Workload

BASE = torch.randn(12, 10)
CARRIED = {
    "contiguous": BASE,
    "transposed": BASE.t(),
    "every other column": BASE[:, ::2],
    "padded transpose": BASE.t()[:7],
    "middle of the last axis": BASE[:, 3:8],
    "expanded rows": BASE[0].expand(9, 10),
    "expanded columns with gaps": BASE[::3, :1].expand(4, 6),
    "empty": BASE[:0],
    "one element": BASE[0, 0],
}


@pytest.mark.parametrize("name", CARRIED)
def test_layouts_that_are_carried(name: str) -> None:
    assert carried(CARRIED[name])


@pytest.mark.parametrize(
    "tensor",
    [BASE.flatten().unfold(0, 3, 1), BASE.as_strided((3, 3), (1, 1)), torch.empty(1 << 23)[:: 1 << 10]],
    ids=["sliding windows", "overlapping rows", "nearly all gaps"],
)  # fmt: skip
def test_layouts_that_are_not(tensor: torch.Tensor) -> None:
    assert not carried(tensor)


@pytest.mark.parametrize("name", [*CHANGES, "+".join(CHANGES)])
@pytest.mark.parametrize("layout", CARRIED)
def test_hidden_values_keep_gaps_and_repetitions(layout: str, name: str) -> None:
    given = CARRIED[layout]
    (x,) = transform([given], name, 1)
    assert x.shape == given.shape and x.stride() == given.stride()
    target = torch.empty_strided(x.shape, x.stride())
    store(target, x)
    assert torch.equal(target, x) and torch.equal(once(target).expand(x.shape), x)


def test_arguments_are_described_as_they_are_given_and_outputs_are_dense() -> None:
    windows = BASE.flatten().unfold(0, 3, 1)
    model = torch.nn.Identity()
    model.forward = lambda x, b, w: x  # type: ignore[method-assign]
    given = [BASE[:, ::2], BASE[0, :5].expand(12, 5), windows]
    spec = Instance(Workload(name="w", index=0), model, lambda seed: given).spec()
    found = [a.strides for a in spec.arguments if isinstance(a, TensorSpec)]
    assert found == [(10, 2), (0, 1), (3, 1)]
    assert spec.outputs[0].strides == (5, 1) and spec.outputs[0].view_strides == (10, 2)
