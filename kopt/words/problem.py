"""What to compute: problems and their workloads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from kopt.words.serial import digest_of

Scalar = bool | int | float | str | None


@dataclass(frozen=True, kw_only=True)
class TensorSpec:
    """One tensor argument, state tensor (parameter or buffer) or output.

    ``dtype`` is torch's name without the prefix (``float32``). ``strides`` are in elements and always given:
    the reference's layout is part of what a candidate must reproduce. Those of an input may leave gaps or repeat
    elements, as the problem's own do (:mod:`kopt.problems.strides`). ``view_strides`` are an output's own where the
    reference returns such a one and ``strides`` are contiguous instead: a candidate may return either.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    strides: tuple[int, ...]
    kind: Literal["tensor"] = "tensor"
    view_strides: tuple[int, ...] | None = None


@dataclass(frozen=True, kw_only=True)
class ScalarSpec:
    """One argument that is not a tensor; passed by value to reference and candidate alike."""

    name: str
    value: Any
    kind: Literal["scalar"] = "scalar"


Argument = TensorSpec | ScalarSpec


@dataclass(frozen=True, kw_only=True)
class Workload:
    """One instance to run: which input group or axis values, and whether candidates may know of it."""

    name: str
    index: int
    axes: Mapping[str, int] = field(default_factory=dict)
    held_out: bool = False


@dataclass(frozen=True, kw_only=True)
class WorkloadSpec:
    """A workload as the reference runner described it: every argument, state tensor and output, in call order.

    ``init`` holds the constructor arguments of ``Model`` as JSON values; it is None when they are not JSON.
    ``flops`` is counted from the reference (0 when unknown). ``bytes_required`` is what any implementation must
    move: outputs plus the inputs and state that the reference provably reads whole. ``longest_sum`` is the number of
    terms in the longest sum that one of the reference's operators takes, sums of products apart.
    """

    workload: Workload
    arguments: tuple[Argument, ...]
    state: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    init: tuple[Any, ...] | None = ()
    flops: float = 0.0
    bytes_required: int = 0
    longest_sum: int = 1

    @property
    def tensors(self) -> tuple[TensorSpec, ...]:
        """The tensor arguments, in call order."""
        return tuple(a for a in self.arguments if isinstance(a, TensorSpec))


@dataclass(frozen=True, kw_only=True)
class TolerancePolicy:
    """How wrong a candidate may be.

    ``multiple`` is how many times the reference's own error (float64 is the truth) a candidate may reach.
    ``rtol``/``atol`` replace that policy for decks which prescribe fixed tolerances.
    """

    multiple: float = 8.0
    rtol: float | None = None
    atol: float | None = None


@dataclass(frozen=True, kw_only=True)
class Problem:
    """A problem as text: nothing of it has been executed.

    ``format`` is ``model`` (Model / get_inputs / get_init_inputs), ``kopt`` (reference + declarations) or ``code``
    (files to improve and a ``kopt.toml`` that says how they are judged).
    ``sources`` maps relative paths to text; ``entry`` is the file that defines the problem, after overrides.
    """

    name: str
    format: Literal["model", "kopt", "code"]
    sources: Mapping[str, str]
    entry: str
    path: str = ""
    overrides: Mapping[str, Any] = field(default_factory=dict)
    tolerance: TolerancePolicy = field(default_factory=TolerancePolicy)

    @property
    def digest(self) -> str:
        """Identity of what is computed: sources after overrides and tolerance, not where the file lies."""
        return digest_of({"format": self.format, "sources": self.sources, "tolerance": self.tolerance})
