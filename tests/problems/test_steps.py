"""Where a wrong result left the reference's path, and what it is instead."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from kopt.problems.inside import open_problem
from kopt.problems.instance import Instance
from kopt.problems.steps import MOST_STEPS, localise, value_at
from kopt.words import LikenessKind, Localisation, Span

NORM = """
import torch
import torch.nn as nn


class Model(nn.Module):
    def __init__(self, size):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(size))
        self.bias = nn.Parameter(torch.randn(size))

    def forward(self, x):
        mean = x.mean(-1)
        centred = x - mean[:, None]
        scale = torch.rsqrt(centred.pow(2).mean(-1, keepdim=True) + 1e-5)
        return torch.tanh(centred * scale * self.weight + self.bias)


def get_inputs():
    return [torch.randn(24, 40) + 0.5]


def get_init_inputs():
    return [40]
"""
Wrongly = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


@pytest.fixture(scope="module")
def norm(tmp_path_factory: pytest.TempPathFactory) -> Instance:
    folder = tmp_path_factory.mktemp("problem")
    return open_problem("model", {"norm.py": NORM}, "norm.py", folder).select(0, 7)


def compared(instance: Instance, got: torch.Tensor, x: torch.Tensor) -> Localisation:
    apart = (got - instance.call([x])[0]).abs().nan_to_num(9.0)
    index = [int(i) for i in torch.unravel_index(apart.argmax(), apart.shape)]
    return localise(instance, [x], got, 0, index, 5.0)


def test_steps_carry_the_values_at_the_wrong_element(norm: Instance) -> None:
    (x,) = norm.inputs(1)
    got = norm.call([x])[0].clone()
    got[5, 17] += 0.5
    found = compared(norm, got, x)
    assert found.index == (5, 17)
    assert found.region == (
        Span(first=5, last=5, every=1, size=24),
        Span(first=17, last=17, every=1, size=40),
    )
    names = [step.name.partition("(")[0] for step in found.steps]
    assert names == ["mean", "sub", "pow", "mean", "add", "rsqrt", "mul", "mul", "add", "tanh"]
    assert [step.number for step in found.steps] == list(range(1, 11))
    mean, centred, squared = found.steps[:3]
    assert mean.shape == (24,) and mean.value == pytest.approx(
        float(x[5].mean())
    )  # one way to leave out an axis
    assert centred.value == pytest.approx(float(x[5, 17] - x[5].mean()))
    assert squared.name == "pow(2)"
    assert squared.value == pytest.approx(centred.value**2, rel=1e-5)
    assert found.steps[-1].value == pytest.approx(float(norm.call([x])[0][5, 17]))
    assert {step.line for step in found.steps} == {13, 14, 15, 16}


def damaged(norm: Instance, kind: str, x: torch.Tensor) -> torch.Tensor:
    right = norm.call([x])[0]
    weight, bias = (norm.state()[name] for name in ("weight", "bias"))
    centred = x - x.mean(-1, keepdim=True)
    scaled = centred * torch.rsqrt(centred.pow(2).mean(-1, keepdim=True) + 1e-5)
    made = {
        "no tanh": scaled * weight + bias,
        "no bias": torch.tanh(scaled * weight),
        "not centred": torch.tanh(x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-5) * weight + bias),
        "no weight": torch.tanh(scaled + bias),
        "never written": torch.full_like(right, torch.nan),
        "zero": torch.zeros_like(right),
        "factor": right * 40,
        "offset": right + 2,
        "transposed": right.mT.reshape(right.shape),
        "shifted": right.roll(1, -1),
        "half": right.half().float(),
        "noise": right + torch.randn_like(right),
    }
    return made[kind]


@pytest.mark.parametrize(
    ("kind", "likeness", "step", "value"),
    [
        ("no tanh", LikenessKind.STEP, 9, None),
        ("no bias", LikenessKind.WITHOUT, 9, None),
        ("not centred", LikenessKind.WITHOUT, 2, None),
        ("no weight", LikenessKind.WITHOUT, 8, None),
        ("never written", LikenessKind.CONSTANT, None, float("nan")),
        ("zero", LikenessKind.CONSTANT, None, 0.0),
        ("factor", LikenessKind.FACTOR, None, 40.0),
        ("offset", LikenessKind.OFFSET, None, 2.0),
        ("transposed", LikenessKind.TRANSPOSED, None, None),
        ("shifted", LikenessKind.SHIFTED, None, 1.0),
        ("half", LikenessKind.PRECISION, None, 5e-4),
    ],
)
def test_what_the_result_is_instead(
    norm: Instance, kind: str, likeness: LikenessKind, step: int | None, value: float | None
) -> None:
    (x,) = norm.inputs(2)
    found = compared(norm, damaged(norm, kind, x), x).likeness
    assert found is not None
    assert (found.kind, found.step) == (likeness, step)
    if value is None:
        assert found.value is None
    else:
        assert found.value == pytest.approx(value, rel=0.6 if kind == "half" else 1e-3, nan_ok=True)


def test_what_is_like_nothing_is_not_guessed(norm: Instance) -> None:
    (x,) = norm.inputs(3)
    assert compared(norm, damaged(norm, "noise", x), x).likeness is None


def test_only_the_wrong_elements_count(norm: Instance) -> None:
    (x,) = norm.inputs(4)
    got = norm.call([x])[0].clone()
    got[:, 36:] = damaged(norm, "no bias", x)[:, 36:]
    found = compared(norm, got, x)
    assert found.region[1] == Span(first=36, last=39, every=1, size=40)
    assert found.likeness is not None and found.likeness.kind is LikenessKind.WITHOUT


def test_wrong_elements_at_a_stride(norm: Instance) -> None:
    (x,) = norm.inputs(5)
    got = norm.call([x])[0].clone()
    got[3::8] = 9.0
    found = compared(norm, got, x)
    assert found.region == (
        Span(first=3, last=19, every=8, size=24),
        Span(first=0, last=39, every=1, size=40),
    )
    assert found.solid


def test_a_parameter_that_was_forgotten_inside_one_call(tmp_path: Path) -> None:
    text = """
import torch.nn as nn
import torch
class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(16, 8)
    def forward(self, x):
        return self.linear(x)
def get_inputs():
    return [torch.randn(12, 16)]
"""
    instance = open_problem("model", {"p.py": text}, "p.py", tmp_path).select(0, 3)
    (x,) = instance.inputs(1)
    found = compared(instance, x @ instance.state()["linear.weight"].mT, x)
    assert found.likeness is not None
    assert (found.likeness.kind, found.likeness.name, found.likeness.value) == (
        LikenessKind.STATE,
        "linear.bias",
        0.0,
    )
    assert [(step.name, step.line) for step in found.steps] == [("linear()", 9)]
    before = instance.state()["linear.bias"].clone()
    assert torch.equal(instance.state()["linear.bias"], before) and bool((before != 0).any())


def test_many_steps_and_no_time(tmp_path: Path) -> None:
    text = """
import torch
class Model(torch.nn.Module):
    def forward(self, x):
        for i in range(50):
            x = torch.sin(x) + i
        return x
def get_inputs():
    return [torch.randn(4, 4)]
"""
    instance = open_problem("model", {"p.py": text}, "p.py", tmp_path).select(0, 3)
    (x,) = instance.inputs(1)
    found = localise(instance, [x], torch.randn(4, 4), 0, (1, 2), 0.0)
    assert len(found.steps) == MOST_STEPS
    assert found.steps[-1].number == 100
    assert found.likeness is None


def test_integer_outputs_and_scalars(tmp_path: Path) -> None:
    text = """
import torch
class Model(torch.nn.Module):
    def forward(self, x):
        return torch.argmax(x * 2, dim=-1), (x * x).sum()
def get_inputs():
    return [torch.randn(6, 9)]
"""
    instance = open_problem("model", {"p.py": text}, "p.py", tmp_path).select(0, 3)
    (x,) = instance.inputs(1)
    indices, total = instance.call([x])
    found = localise(instance, [x], torch.zeros_like(indices), 0, (2,), 5.0)
    assert found.likeness is not None and found.likeness.kind is LikenessKind.CONSTANT
    assert found.steps[1].value == float(indices[2])
    found = localise(instance, [x], total * 3, 1, (), 5.0)
    assert found.region == ()
    assert found.steps[-1].value == float(total)


@pytest.mark.parametrize(
    ("shape", "value"),
    [((4, 6), 15.0), ((4, 1), 2.0), ((6,), 3.0), ((4,), 2.0), ((), 0.0), ((5,), None), ((2, 4, 6), None)],
)
def test_which_element_belongs_to_which(shape: tuple[int, ...], value: float | None) -> None:
    result = torch.arange(48.0)[: max(1, torch.Size(shape).numel())].reshape(shape)
    assert value_at(result, (2, 3), (4, 6)) == value


def test_an_axis_that_could_be_either_tells_nothing() -> None:
    assert value_at(torch.randn(4), (1, 2), (4, 4)) is None
    assert value_at(torch.randn(4, 6), (1, 2, 3), (4, 4, 6)) is None
    assert value_at(torch.randn(6, 4), (1, 2, 3), (6, 4, 4)) is None


def test_a_reference_that_changes_its_inputs_and_one_that_leaves_the_real_numbers(tmp_path: Path) -> None:
    text = """
import torch
class Model(torch.nn.Module):
    def forward(self, x):
        x.mul_(3)
        return torch.fft.ifft(torch.fft.fft(x)).real + torch.relu(x)
def get_inputs():
    return [torch.randn(6, 8)]
"""
    instance = open_problem("model", {"p.py": text}, "p.py", tmp_path).select(0, 3)
    (x,) = instance.inputs(1)
    before = x.clone()
    found = localise(instance, [x], before * 3, 0, (2, 5), 5.0)
    assert torch.equal(x, before)
    assert [step.name.partition("(")[0] for step in found.steps] == ["mul", "relu", "add"]
    assert found.steps[0].value == pytest.approx(3 * float(before[2, 5]))
    assert found.likeness is not None and found.likeness.kind is LikenessKind.STEP
