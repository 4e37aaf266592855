"""Integers whose bits matter, and numbers that follow from the place: unpacked weights, masks by position."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from kopt.agents.offline.fused import recognise
from kopt.agents.offline.graph import Unsupported
from kopt.agents.offline.reading import parse
from tests.agents.triton_cases import Case, compile_for_hopper, generated, interpret


def packed(*shape: int, dtype: torch.dtype = torch.int32) -> torch.Tensor:
    limits = torch.iinfo(dtype)
    return torch.randint(limits.min, limits.max, shape, dtype=dtype)


def nibbles(packed: torch.Tensor) -> torch.Tensor:
    """Eight numbers from every int32, side by side."""
    shifts = torch.arange(0, 32, 4, dtype=torch.int32)
    return ((packed[:, None] >> shifts[:, None]) & 15).reshape(-1, packed.shape[1]).float() - 8


def halves(packed: torch.Tensor, scales: torch.Tensor) -> torch.Tensor:
    """Two numbers from every byte, one behind the other."""
    low, high = packed & 15, packed >> 4
    return torch.stack((low, high), 0) * scales


def mixed_up(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    return ((x ^ y) & 255).float() + ((x | 7) >> 3) * 0.5 - (~y & 3)


def constant_shifts(x: torch.Tensor) -> torch.Tensor:
    """The shifts are a constant of the reference."""
    return ((x[..., None] >> torch.tensor([0, 4, 8, 12], dtype=torch.int32)) & 15).float()


def cut(x: torch.Tensor, scales: torch.Tensor) -> torch.Tensor:
    """What is unpacked is cut in two afterwards."""
    a, b = (((x & 15).float() - 8) * scales).chunk(2, -1)
    return torch.sigmoid(a) * b


def inverted(x: torch.Tensor) -> torch.Tensor:
    return (~x).float() + (x ^ -1).float() * 2 + (x & 511).float() * 4


def lengths(x: torch.Tensor, length: torch.Tensor) -> torch.Tensor:
    """Row sums of what lies before a length."""
    position = torch.arange(x.shape[1])
    return x.masked_fill(position >= length[:, None], 0).sum(1)


def causal(x: torch.Tensor) -> torch.Tensor:
    at = torch.arange(x.shape[0])
    return torch.softmax(torch.where(at[None, :] <= at[:, None], x, -1e9), -1)


def numbered(x: torch.Tensor) -> torch.Tensor:
    """Numbers along rows and columns at once, in a row's reduction."""
    return torch.softmax(x + torch.arange(x.numel()).reshape(x.shape) * 0.001, -1)


def positions(x: torch.Tensor) -> torch.Tensor:
    """A number from the place, expanded before it is used and summed."""
    at = torch.arange(x.shape[0])
    return x + at.expand(3, -1).reshape(3, 1, -1).sum(0)


def slopes(x: torch.Tensor) -> torch.Tensor:
    """ALiBi: a bias that grows with the distance."""
    return x - torch.arange(x.shape[-1], 0, -1) * 0.25


CASES: dict[str, tuple[Any, Callable[[int], tuple[torch.Tensor, ...]]]] = {
    "nibbles": (nibbles, lambda n: (packed(n, 37),)),
    "bytes": (halves, lambda n: (packed(n, 21, dtype=torch.uint8), torch.randn(21))),
    "signed bytes": (halves, lambda n: (packed(n, 21, dtype=torch.int8), torch.randn(21))),
    "operators": (mixed_up, lambda n: (packed(n, 33, dtype=torch.int16), packed(n, 33, dtype=torch.int16))),
    "constant shifts": (constant_shifts, lambda n: (packed(n, 21),)),
    "cut": (cut, lambda n: (packed(n, 42), torch.randn(42))),
    "inverted bytes": (inverted, lambda n: (packed(n, 21, dtype=torch.uint8),)),
    "inverted signed bytes": (inverted, lambda n: (packed(n, 21, dtype=torch.int8),)),
    "stays an integer": (lambda x: (x >> 4) & 4095, lambda n: (packed(n, 33),)),
    "short integers": (lambda x: x ^ (x >> 3), lambda n: (packed(n, 33, dtype=torch.int16),)),
    "lengths": (lengths, lambda n: (torch.randn(n, 70), torch.randint(0, 71, (n,)))),
    "causal": (causal, lambda n: (torch.randn(n, n),)),
    "numbered": (numbered, lambda n: (torch.randn(n, 45),)),
    "positions": (positions, lambda n: (torch.randn(n, n),)),
    "slopes": (slopes, lambda n: (torch.randn(n, 45),)),
}


@pytest.mark.parametrize("name", CASES)
def test_kernels_match_torch(name: str, trace_json: Callable[..., Any], compiled: Any, call: Any) -> None:
    """At sizes that were traced, and at another."""
    model, inputs = CASES[name]
    torch.manual_seed(0)
    for traced in ((5,), (5, 12)):
        plan = recognise(parse(*(trace_json(model, *inputs(n)) for n in traced)))
        assert plan is not None
        entry = compiled(next(iter(plan.candidates())))
        for n in (*traced, *((9,) if len(traced) > 1 else ())):
            (wanted,), (got,) = call(entry, model, inputs(n))
            torch.testing.assert_close(got, wanted, rtol=2e-6, atol=2e-6)


@pytest.mark.parametrize(
    ("model", "inputs", "reason"),
    [
        (lambda x: x.sum(1) >> 2, (packed(4, 5, dtype=torch.int64),), "bits of int64"),
        (
            lambda x: (x.int() & 15).float(),
            (packed(4, 5, dtype=torch.int64),),
            "bits of int64 values as int32",
        ),
        (lambda x: (x.to(torch.int8) >> 4).float(), (packed(4, 5),), "bits of int32 values as int8"),
        (lambda x: x ^ torch.arange(5), (packed(4, 5),), "bits of int64"),
        (
            lambda x: torch.nn.functional.cross_entropy(x, torch.arange(x.shape[0])),
            (torch.randn(5, 7),),
            "numbers that follow from the place",
        ),
        (lambda x: (x * 3) >> 2, (packed(4, 5),), "bits of int32 values that are computed"),
        (lambda x: (x & 1).float(), (torch.rand(4, 5) > 0.5,), "bits of int64"),
        (lambda x, y: (x & y).float(), (packed(4, 5), torch.rand(4, 5) > 0.5), "truth values and integers"),
        (lambda x: (x >> 40).float(), (packed(4, 5),), "a shift by 40 bits"),
        (lambda x: x >> 2, (packed(4, 5),), "32-bit integers, of which float32 holds 24 bits"),
        (lambda x: x + torch.arange(0, 1, 0.25), (torch.randn(3, 4),), "not whole"),
        (lambda x: (x >> 2).double(), (packed(4, 5),), "double precision"),
        (
            lambda x: x + torch.arange(1 << 24, (1 << 24) + 4),
            (torch.randn(3, 4),),
            "float32 does not count to",
        ),
    ],
)
def test_what_would_lose_bits_is_refused(
    model: Any, inputs: tuple[torch.Tensor, ...], reason: str, trace_json: Callable[..., Any]
) -> None:
    with pytest.raises(Unsupported, match=reason):
        recognise(parse(trace_json(model, *inputs)))


TRITON = {name: Case(model, [inputs(5), inputs(12)], [inputs(9)]) for name, (model, inputs) in CASES.items()}


@pytest.fixture(scope="module")
def interpreted(tmp_path_factory: pytest.TempPathFactory, trace_json: Any) -> dict[str, str]:
    made = generated(TRITON, recognise, trace_json)
    return interpret(TRITON, made, tmp_path_factory.mktemp("interpreted") / "cases")


@pytest.mark.needs("triton")
@pytest.mark.parametrize("name", TRITON)
def test_the_triton_kernel_matches_torch(name: str, interpreted: dict[str, str]) -> None:
    assert name not in interpreted, interpreted[name]


@pytest.mark.needs("triton")
def test_triton_kernels_compile_for_hopper(tmp_path: Path, trace_json: Any) -> None:
    cases = {name: TRITON[name] for name in ("nibbles", "operators", "causal")}
    for name, report in compile_for_hopper(
        cases, generated(cases, recognise, trace_json), tmp_path / "c"
    ).items():
        assert not report["error"], (name, report["error"])
