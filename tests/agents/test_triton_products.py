"""Matrix products and convolutions in Triton, interpreted: layouts, batches, edges, sizes that were not traced."""

from __future__ import annotations

import importlib.util
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from kopt.agents.offline.contraction import recognise
from kopt.agents.offline.graph import Unsupported
from tests.agents.test_contraction import CONVOLUTIONS, PRODUCTS, Behind, r
from tests.agents.triton_cases import Case, generated, interpret

if importlib.util.find_spec("triton") is None:
    pytest.skip("triton is not installed", allow_module_level=True)


def gelu_of(layer: nn.Module) -> nn.Module:
    return Behind(layer, F.gelu)


class OwnWords(nn.Module):
    """Parameters named like what the file itself names."""

    def __init__(self) -> None:
        super().__init__()
        self.kernel, self.tl, self.triton = (nn.Parameter(r(*s)) for s in ((50, 45), (45,), (45,)))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(x @ self.kernel + self.tl) * self.triton


LEFT_OUT = ("double", "blocks_with_edges")  # refused; and large, where ``many_tiles`` is small
SMALL = {"BLOCK_M": 16, "BLOCK_N": 32, "BLOCK_K": 16, "GROUP": 4}
CASES = {
    **{name: Case(model, [inputs]) for name, (model, inputs) in PRODUCTS.items() if name not in LEFT_OUT},
    **{name: Case(model, [(r(*shape),)]) for name, (model, shape) in CONVOLUTIONS.items()},
    "images_vary": Case(  # all traces square, what is called with is not
        Behind(nn.Conv2d(8, 20, 3, stride=2, padding=1, groups=2), torch.relu),
        [(r(2, 8, 21, 21),), (r(1, 8, 7, 7),)],
        [(r(3, 8, 17, 30),), (r(1, 8, 9, 40),), (r(2, 8, 1, 1),)],
    ),
    "lengths_vary": Case(
        nn.Conv1d(8, 20, 5, padding="same", dilation=2),
        [(r(2, 8, 100),), (r(1, 8, 33),)],
        [(r(3, 8, 157),), (r(1, 8, 5),)],
    ),
    "own_words": Case(OwnWords(), [(r(37, 50),)]),
    "many_tiles": Case(torch.matmul, [(r(200, 50), r(50, 150))], tunables=SMALL),
    "half": Case(gelu_of(nn.Linear(50, 45)).half(), [(r(37, 50).half(),)]),
    "half_convolution": Case(gelu_of(nn.Conv2d(8, 20, 3, padding=1)).half(), [(r(2, 8, 9, 11).half(),)]),
    "tokens_vary": Case(
        gelu_of(nn.Linear(50, 45)), [(r(n, 50),) for n in (64, 3)], [(r(n, 50),) for n in (1, 137)]
    ),
    "batches_vary": Case(
        lambda x, y: torch.bmm(x, y) / 8,
        [(r(n, m, k), r(n, k, 21)) for n, m, k in ((2, 5, 7), (3, 9, 20))],
        [(r(5, 70, 33), r(5, 33, 21))],
    ),
    "filters_vary": Case(
        lambda x, w: F.conv2d(x, w, padding=1),
        [(r(2, 6, 12, 10), r(12, 6, 3, 3)), (r(1, 4, 9, 8), r(8, 4, 3, 3))],
        [(r(2, 21, 7, 10), r(33, 21, 3, 3))],
    ),
}


@pytest.fixture(scope="module")
def wrong(trace_json: Any, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return interpret(CASES, generated(CASES, recognise, trace_json), tmp_path_factory.mktemp("interpreted"))


@pytest.mark.parametrize("name", CASES)
def test_right_under_the_interpreter(name: str, wrong: dict[str, str]) -> None:
    assert name not in wrong, wrong[name]


@pytest.mark.parametrize(
    ("model", "inputs", "why"),
    [
        (nn.Linear(50, 45).double(), (r(37, 50).double(),), "single precision"),
        (lambda x, y: torch.lgamma(x @ y), (r(8, 9), r(9, 8)), "lgamma"),
    ],
)
def test_says_why_there_is_no_triton_kernel(model: Any, inputs: Any, why: str, graph_of: Any) -> None:
    plan = recognise(graph_of(Case(model, [inputs]).model, *inputs))
    assert plan is not None
    made = plan.candidates()
    assert next(iter(made)).language == "cpp"
    with pytest.raises(Unsupported, match=f"no Triton kernel: .*{why}"):
        next(iter(made))
