"""Value distributions that a kopt ``problem.py`` may name in its ``inputs`` and ``state``.

A distribution is written as its name, or as a dictionary with ``kind`` and its parameters:
``"normal"``, ``{"kind": "uniform", "low": -1, "high": 1}``. :data:`KINDS` is the whole list; the host reads
it to check declarations, torch is imported only when values are drawn (inside the sandbox).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

Size = Sequence[int]


def _normal(shape: Size, *, mean: float = 0.0, std: float = 1.0) -> torch.Tensor:
    """Gaussian with the given mean and standard deviation."""
    import torch

    return torch.randn(shape) * std + mean


def _uniform(shape: Size, *, low: float = 0.0, high: float = 1.0) -> torch.Tensor:
    """Uniform on [low, high)."""
    import torch

    return torch.rand(shape) * (high - low) + low


def _log_uniform(shape: Size, *, low: float = 1e-3, high: float = 1e3) -> torch.Tensor:
    """Positive, its logarithm uniform between those of low and high."""
    import math

    import torch

    return torch.exp(torch.rand(shape) * (math.log(high) - math.log(low)) + math.log(low))


def _integers(shape: Size, *, low: int = 0, high: int = 2) -> torch.Tensor:
    """Integers on [low, high)."""
    import torch

    return torch.randint(low, high, tuple(shape))


def _boolean(shape: Size, *, probability: float = 0.5) -> torch.Tensor:
    """True with the given probability."""
    import torch

    return torch.rand(shape) < probability


def _constant(shape: Size, *, value: float = 0.0) -> torch.Tensor:
    """The same value everywhere."""
    import torch

    return torch.full(tuple(shape), value)


def _one_hot(shape: Size) -> torch.Tensor:
    """Each row of the last axis has a single 1, elsewhere 0."""
    import torch

    place = torch.randint(shape[-1], (*shape[:-1], 1))
    return torch.zeros(tuple(shape)).scatter_(-1, place, 1.0)


def _probabilities(shape: Size, *, temperature: float = 1.0) -> torch.Tensor:
    """Rows of the last axis are non-negative and sum to one."""
    import torch

    return torch.softmax(torch.randn(tuple(shape)) / temperature, dim=-1)


def _log_probabilities(shape: Size, *, temperature: float = 1.0) -> torch.Tensor:
    """Logarithms of such rows."""
    import torch

    return torch.log_softmax(torch.randn(tuple(shape)) / temperature, dim=-1)


def _sorted(shape: Size, *, low: float = 0.0, high: float = 1.0) -> torch.Tensor:
    """Uniform on [low, high), ascending along the last axis."""
    return _uniform(shape, low=low, high=high).sort(dim=-1).values


def _permutation(shape: Size) -> torch.Tensor:
    """A permutation of 0..n-1, n being the number of elements."""
    import math

    import torch

    return torch.randperm(math.prod(shape)).reshape(tuple(shape))


def _lengths(shape: Size, *, low: int = 1, high: int = 128) -> torch.Tensor:
    """Sequence lengths on [low, high]; the first is always ``high``, so that the longest is known."""
    import torch

    drawn = torch.randint(low, high + 1, tuple(shape))
    drawn.flatten()[:1] = high
    return drawn


def _arange(shape: Size, *, start: int = 0) -> torch.Tensor:
    """start, start + 1, ... in row-major order."""
    import math

    import torch

    return torch.arange(start, start + math.prod(shape)).reshape(tuple(shape))


KINDS: dict[str, Callable[..., Any]] = {
    "normal": _normal,
    "uniform": _uniform,
    "log_uniform": _log_uniform,
    "integers": _integers,
    "boolean": _boolean,
    "constant": _constant,
    "one_hot": _one_hot,
    "probabilities": _probabilities,
    "log_probabilities": _log_probabilities,
    "sorted": _sorted,
    "permutation": _permutation,
    "lengths": _lengths,
    "arange": _arange,
}
"""Every distribution, by the name that declarations use."""


def parameters_of(kind: str) -> tuple[str, ...]:
    """Names of the parameters that a distribution takes.

    Raises:
        KeyError: no such distribution.
    """
    return tuple(KINDS[kind].__kwdefaults__ or ())


def draw(values: Mapping[str, Any], shape: Size, dtype: str) -> torch.Tensor:
    """Draw one tensor from torch's global generator, float64 ones with all their digits.

    Args:
        values: ``kind`` and its parameters.
        shape: sizes, resolved.
        dtype: torch's name, such as ``float32``.
    """
    import torch

    parameters = {key: value for key, value in values.items() if key != "kind"}
    wanted = getattr(torch, dtype)
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64 if wanted is torch.float64 else torch.float32)
    try:
        drawn: torch.Tensor = KINDS[values["kind"]](shape, **parameters)
    finally:
        torch.set_default_dtype(before)
    return drawn.to(wanted)
