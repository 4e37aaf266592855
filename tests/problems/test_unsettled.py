"""Parameters that constructors leave at ones and zeros get values of their own."""

from __future__ import annotations

import torch

from kopt.problems.unsettled import unsettle
from kopt.sandbox.runner.parameters import filling, take_over


class Normalised(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = torch.nn.Linear(8, 8)
        self.norm = torch.nn.BatchNorm1d(8)
        self.register_buffer("mask", torch.zeros(8))


def test_constants_that_training_changes_are_redrawn() -> None:
    torch.manual_seed(0)
    model, again = Normalised(), Normalised()
    kept = model.linear.weight.clone()
    found = unsettle(model, 1)
    assert found == {
        "norm.weight": 1.0,
        "norm.bias": 0.0,
        "norm.running_mean": 0.0,
        "norm.running_var": 1.0,
    }
    assert torch.equal(model.linear.weight, kept)
    assert bool((model.mask == 0).all()) and int(model.norm.num_batches_tracked) == 0
    assert float(model.norm.weight.std()) > 0 and float(model.norm.running_var.min()) >= 0.5
    assert float(model.norm.bias.detach().abs().max()) <= 0.5
    unsettle(again, 1)
    assert torch.equal(again.norm.bias, model.norm.bias)


def test_a_constructor_sees_the_values_it_will_be_called_with() -> None:
    model = Normalised()
    unsettle(model, 3)
    given = {name: tensor.detach() for name, tensor in model.state_dict().items()}

    class Folded(Normalised):
        def __init__(self) -> None:
            super().__init__()
            self.scale = (self.norm.weight / (self.norm.running_var + self.norm.eps).sqrt()).detach()

    with filling(Folded, given):
        folded = Folded()
    expected = given["norm.weight"] / (given["norm.running_var"] + 1e-5).sqrt()
    assert torch.allclose(folded.scale, expected)
    plain = Folded()
    assert not torch.allclose(plain.scale, expected)


def test_other_names_get_the_values_too() -> None:
    model = torch.nn.Sequential(torch.nn.LayerNorm(8))
    settled = unsettle(model, 5)
    given = {name: tensor.detach() for name, tensor in model.state_dict().items()}

    class Renamed(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.beta = torch.nn.Parameter(torch.zeros(8))
            self.gamma = torch.nn.Parameter(torch.ones(8))

    renamed = Renamed()
    assert take_over(renamed, given, settled) == 2
    assert torch.equal(renamed.gamma, given["0.weight"]) and torch.equal(renamed.beta, given["0.bias"])
