"""Declared value distributions, and the hidden ones' promise to stay inside the domain."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from kopt.problems.distributions import KINDS, draw, parameters_of
from kopt.problems.domain import domain_of
from kopt.problems.hidden import CHANGES, applicable, transform

SHAPES = st.lists(st.integers(1, 7), min_size=1, max_size=3)
SEEDS = st.integers(0, 2**62)
QUICK = settings(max_examples=25, deadline=None)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_draws_the_shape_and_is_seeded(kind: str) -> None:
    dtype = (
        "bool" if kind == "boolean" else "int64" if kind in ("integers", "lengths", "arange") else "float32"
    )
    torch.manual_seed(3)
    one = draw({"kind": kind}, (5, 6), dtype)
    torch.manual_seed(3)
    assert torch.equal(one, draw({"kind": kind}, (5, 6), dtype))
    assert one.shape == (5, 6) and str(one.dtype) == f"torch.{dtype}"


def test_every_kind_is_documented() -> None:
    page = (Path(__file__).parents[2] / "docs" / "problems.md").read_text()
    for kind in KINDS:
        row = next(line for line in page.splitlines() if line.startswith(f"| `{kind}` |"))
        assert all(f"`{name}`" in row for name in parameters_of(kind))


@QUICK
@given(SHAPES, SEEDS, st.floats(-5, 5), st.floats(0.01, 5))
def test_uniform_and_sorted_stay_in_range(shape: list[int], seed: int, low: float, width: float) -> None:
    torch.manual_seed(seed)
    x = draw({"kind": "uniform", "low": low, "high": low + width}, shape, "float64")
    assert float(x.min()) >= low - 1e-6 and float(x.max()) <= low + width + 1e-6
    y = draw({"kind": "sorted", "low": low, "high": low + width}, shape, "float64")
    assert bool((y.diff(dim=-1) >= 0).all())


@QUICK
@given(SHAPES, SEEDS)
def test_rows(shape: list[int], seed: int) -> None:
    torch.manual_seed(seed)
    assert bool((draw({"kind": "one_hot"}, shape, "float32").sum(-1) == 1).all())
    assert torch.allclose(draw({"kind": "probabilities"}, shape, "float32").sum(-1), torch.ones(shape[:-1]))
    log = draw({"kind": "log_probabilities"}, shape, "float32")
    assert torch.allclose(log.exp().sum(-1), torch.ones(shape[:-1]), atol=1e-5)
    permutation = draw({"kind": "permutation"}, shape, "int64").flatten()
    assert torch.equal(permutation.sort().values, torch.arange(permutation.numel()))


@QUICK
@given(SEEDS, st.integers(1, 9), st.integers(10, 50))
def test_lengths_reach_the_highest(seed: int, low: int, high: int) -> None:
    torch.manual_seed(seed)
    x = draw({"kind": "lengths", "low": low, "high": high}, (4,), "int32")
    assert int(x.max()) == high and int(x.min()) >= low


def sample(kind: str, seed: int) -> torch.Tensor:
    torch.manual_seed(seed)
    square = torch.randn(24, 24)
    return {
        "normal": lambda: torch.randn(16, 33),
        "half": lambda: torch.randn(16, 33).half(),
        "bfloat16": lambda: torch.randn(16, 33).bfloat16(),
        "double": lambda: torch.randn(16, 33, dtype=torch.float64),
        "vector": lambda: torch.randn(40),
        "unit": lambda: torch.rand(16, 33),
        "positive": lambda: torch.rand(16, 33) + 0.5,
        "probabilities": lambda: torch.randn(16, 33).softmax(-1),
        "log": lambda: torch.randn(16, 33).log_softmax(-1),
        "negative": lambda: -torch.rand(16, 33) * 9,
        "triangular": lambda: square.tril(),
        "symmetric": lambda: square + square.t(),
        "signs": lambda: torch.randint(0, 2, (16, 33)).float() * 2 - 1,
        "transposed": lambda: torch.randn(33, 16).t(),
    }[kind]()


DOMAINS = (
    "normal",
    "half",
    "bfloat16",
    "double",
    "vector",
    "unit",
    "positive",
    "probabilities",
    "log",
    "negative",
)
DOMAINS += ("triangular", "symmetric", "signs", "transposed")


@pytest.mark.parametrize("name", [*CHANGES, "+".join(CHANGES)])
@pytest.mark.parametrize("kind", DOMAINS)
def test_hidden_values_stay_in_their_domain(kind: str, name: str) -> None:
    base = sample(kind, 1)
    (x,) = transform([base], name, 1)
    assert x.shape == base.shape and x.dtype == base.dtype and x.stride() == base.stride()
    if kind != "half":  # 16 times a large half may overflow; the judge drops what is not finite
        assert bool(torch.isfinite(x).all())
    y = x.float()
    match kind:
        case "unit":
            assert float(y.min()) >= 0 and float(y.max()) <= 1
        case "positive":
            assert float(y.min()) > 0
        case "probabilities":
            assert float(y.min()) >= 0 and torch.allclose(y.sum(-1), torch.ones(16), atol=1e-4)
        case "log":
            assert torch.allclose(y.exp().sum(-1), torch.ones(16), atol=1e-4)
        case "negative":
            assert float(y.max()) <= 0
        case "triangular":
            assert torch.equal(y, y.tril())
        case "symmetric":
            assert torch.equal(y, y.t())
        case "signs":
            assert set(y.unique().tolist()) <= {-1.0, 1.0}


@pytest.mark.parametrize("name", [*CHANGES, "+".join(CHANGES)])
def test_hidden_values_differ_from_the_declared_and_are_seeded(name: str) -> None:
    base = sample("normal", 2)
    (x,) = transform([base.clone()], name, 5)
    (same,) = transform([base.clone()], name, 5)
    assert torch.equal(x, same) and not torch.equal(x, base)


@QUICK
@given(SEEDS, st.sampled_from([*sorted(CHANGES), "ties+sorted+outliers"]))
def test_integers_never_leave_what_was_seen(seed: int, name: str) -> None:
    torch.manual_seed(seed)
    labels = torch.randint(3, 9, (20,))
    (changed,) = transform([labels], name, seed)
    assert set(changed.tolist()) <= set(labels.tolist())


def test_a_mixture_shows_every_distribution_in_its_own_rows() -> None:
    base = sample("normal", 3)
    (x,) = transform([base], "small+large+negative+equal", 1)
    small, large, negative, equal = x.tensor_split(4)
    assert float(small.abs().max()) < 1e-2 < 1e2 < float(large.abs().max()) and float(negative.max()) < 0
    assert equal.unique().numel() == 1
    labels = torch.arange(40) % 7
    (mixed,) = transform([labels], "ties+sorted", 1)
    assert mixed[:20].unique().numel() == 1 and bool((mixed[20:].diff() >= 0).all())


def test_a_mixture_over_few_rows_is_cut_along_them() -> None:
    (x,) = transform([sample("normal", 3)[:2]], "small+small+large", 1)
    assert float(x.flatten()[:44].abs().max()) < 1e-2 < 1e2 < float(x.flatten()[-22:].abs().max())
    (rows,) = transform([torch.randn(2, 33).softmax(-1)], "small+large+equal", 1)
    assert torch.allclose(rows.sum(-1), torch.ones(2), atol=1e-4)


def test_structure_is_left_alone() -> None:
    offsets = torch.tensor([0, 3, 7, 9])
    mask = torch.ones(5, 5).tril().bool()
    same = torch.full((4, 4), 2.0)
    for name in CHANGES:
        kept = transform([offsets, mask, same, 3, None], name, 1)
        assert torch.equal(kept[0], offsets) and torch.equal(kept[1], mask) and torch.equal(kept[2], same)
        assert kept[3:] == [3, None]
    assert applicable([offsets, mask, same, 3]) == []
    assert applicable([torch.randn(3, 3)]) == list(CHANGES)
    assert applicable([torch.tensor([4, 1, 3])]) == ["ties", "sorted", "outliers"]


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
def test_denormals_of_both_signs_are_those_of_the_tensors_own_type(dtype: str) -> None:
    kind = getattr(torch, dtype)
    (x,) = transform([torch.randn(200, 40, dtype=torch.float64).to(kind)], "sorted", 1)
    below = x[(x != 0) & (x.abs().double() < torch.finfo(kind).smallest_normal)]
    assert x.dtype is kind
    assert 60 < int((below > 0).sum()) < 300 and 60 < int((below < 0).sum()) < 300
    assert below.abs().max() > 2**5 * below.abs().min()
    (positive,) = transform([torch.rand(200, 40, dtype=torch.float64).to(kind) + 0.5], "sorted", 1)
    assert float(positive.min()) > 1e-3


@pytest.mark.parametrize("name", [*CHANGES, "+".join(CHANGES)])
def test_double_precision_keeps_its_digits(name: str) -> None:
    torch.manual_seed(1)
    (x,) = transform([draw({"kind": "normal"}, (40, 30), "float64")], name, 1)
    digits = 1 if name in ("equal", "zeros", "ties") else 300
    assert int((x.float().double() != x).sum()) >= digits


def test_values_that_only_double_precision_tells_apart_are_no_constant() -> None:
    near_one = 1 + 1e-12 * torch.rand(40, 30, dtype=torch.float64)
    assert not domain_of(near_one).fixed and domain_of(near_one.float()).fixed


def test_unknown_distribution() -> None:
    with pytest.raises(KeyError):
        transform([torch.randn(3)], "nonsense", 1)


def test_domain_of_single_elements_and_empty_tensors() -> None:
    assert transform([torch.randn(()), torch.empty(0, 3)], "large", 1)[1].shape == (0, 3)
    assert domain_of(torch.ones(3)).fixed


def test_non_finite_values_are_strewn_in_only_on_request() -> None:
    assert "non_finite" not in applicable([torch.randn(3, 3)])
    (x,) = transform([torch.randn(300, 40)], "non_finite", 1)
    counts = [int(found.sum()) for found in (x.isnan(), x.isposinf(), x.isneginf())]
    assert all(20 < count < 200 for count in counts)
