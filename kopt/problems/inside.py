"""Open a problem and run its reference. This module lives inside the sandbox: it executes problem code.

The host never imports it; the host's view of a problem is :func:`kopt.problems.load`, which executes nothing.
"""

from __future__ import annotations

import importlib.util
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol

import torch

from kopt.errors import ProblemError
from kopt.problems.declared import Declaration, declaration_of
from kopt.problems.distributions import draw as drawn
from kopt.problems.function_model import FunctionModel, GradientModel
from kopt.problems.instance import Instance
from kopt.problems.unsettled import unsettle
from kopt.words import Workload, digest_of


class InsideProblem(Protocol):
    """A problem whose code has been executed, in this process; ``selected`` is the instance made last."""

    selected: Instance | None

    def workloads(self) -> list[Workload]:
        """Every workload, the held-out ones last."""
        ...

    def select(
        self, index: int, seed: int, smoke: bool = False, values: Mapping[str, int] | None = None
    ) -> Instance:
        """Build one workload's model; random parameters follow from ``seed``.

        ``smoke`` asks for tiny shapes, ``values`` for other axis values; formats without axes ignore both.
        """
        ...


def open_problem(format: str, sources: Mapping[str, str], entry: str, directory: str | Path) -> InsideProblem:
    """Execute a problem's sources, written below ``directory`` so that tracebacks and ``inspect`` work.

    Raises:
        ProblemError: the sources raise on import or lack what their format needs.
    """
    module = _execute(sources, entry, Path(directory))
    if format == "model":
        return ModelProblem(module, entry)
    return FunctionProblem(module, entry, declaration_of(sources[entry], entry))


class ModelProblem:
    """Format (a): ``Model``, ``get_inputs`` or ``get_input_groups``, ``get_init_inputs``."""

    def __init__(self, module: ModuleType, entry: str) -> None:
        self.entry = entry
        self.selected: Instance | None = None
        self._model: Callable[..., Any] = _need(module, "Model", entry)
        self._groups: Callable[[], Any] | None = getattr(module, "get_input_groups", None)
        self._single: Callable[[], Any] | None = getattr(module, "get_inputs", None)
        self._init: Callable[[], Any] = getattr(module, "get_init_inputs", list)
        if self._groups is None and self._single is None:
            raise ProblemError("defines neither get_inputs nor get_input_groups", path=entry)

    def workloads(self) -> list[Workload]:
        """One workload per input group, or a single one."""
        if self._groups is None:
            return [Workload(name="default", index=0)]
        torch.manual_seed(0)
        count = len(list(_run("get_input_groups", self._groups, self.entry)))
        if not count:
            raise ProblemError("get_input_groups() returned no group", path=self.entry)
        return [Workload(name=f"group{i}", index=i) for i in range(count)]

    def select(
        self, index: int, seed: int, smoke: bool = False, values: Mapping[str, int] | None = None
    ) -> Instance:
        """Construct ``Model`` as public harnesses do: seed, constructor arguments, seed, model."""
        workload = self.workloads()[index]
        torch.manual_seed(seed)
        init = _run("get_init_inputs", self._init, self.entry)
        if not isinstance(init, (list, tuple)):
            raise ProblemError(
                f"get_init_inputs() returned {type(init).__name__}, not a list", path=self.entry
            )
        torch.manual_seed(seed)
        model = _run("Model", lambda: self._model(*init), self.entry)
        if not callable(model):
            raise ProblemError("Model is not callable: derive it from torch.nn.Module", path=self.entry)

        settled = unsettle(model, seed) if isinstance(model, torch.nn.Module) else {}

        def draw(input_seed: int) -> list[Any]:
            torch.manual_seed(input_seed)
            if self._groups is not None:
                drawn = list(_run("get_input_groups", self._groups, self.entry))[index]
            else:
                assert self._single is not None
                drawn = _run("get_inputs", self._single, self.entry)
            if isinstance(drawn, torch.Tensor) or not isinstance(drawn, Sequence):
                raise ProblemError(
                    f"get_inputs() returned {type(drawn).__name__}, not a list of arguments", path=self.entry
                )
            return list(drawn)

        self.selected = Instance(
            workload, model, draw, init=tuple(init), entry=self.entry, settled=settled, habitual=True
        )
        return self.selected


class FunctionProblem:
    """Format (f): ``reference(...)`` beside literal declarations (see docs/problems.md)."""

    def __init__(self, module: ModuleType, entry: str, declaration: Declaration) -> None:
        self.entry = entry
        self.selected: Instance | None = None
        self.declaration = declaration
        self._reference: Callable[..., Any] = _need(module, "reference", entry)

    def workloads(self) -> list[Workload]:
        """The declared workloads, then the held-out shapes."""
        return self.declaration.workloads()

    def select(
        self, index: int, seed: int, smoke: bool = False, values: Mapping[str, int] | None = None
    ) -> Instance:
        """Fix the axes and draw the state (weights) under ``seed``."""
        workload = self.declaration.workload(index, smoke=smoke, values=values)
        torch.manual_seed(seed)
        state = self.declaration.draw(self.declaration.state, workload.axes)
        names = tuple(self.declaration.inputs)

        def draw(input_seed: int) -> list[Any]:
            torch.manual_seed(input_seed)
            return list(self.declaration.draw(self.declaration.inputs, workload.axes).values())

        if self.declaration.gradients:
            self.selected = self._with_gradients(workload, state, draw)
        else:
            self.selected = Instance(
                workload,
                FunctionModel(self._reference, names, state),
                draw,
                entry=self.entry,
                argument_names=names,
                output_names=self.declaration.outputs,
                non_finite=self.declaration.non_finite,
            )
        return self.selected

    def _with_gradients(
        self, workload: Workload, state: Mapping[str, Any], draw: Callable[[int], list[Any]]
    ) -> Instance:
        """The reference with its backward pass: gradients of the outputs are arguments, drawn normal."""
        declared = self.declaration
        model = GradientModel(self._reference, tuple(declared.inputs), state, declared.gradients)
        outputs, _ = _run("the reference", lambda: model.differentiable(*draw(0)), self.entry)
        names = declared.outputs or tuple(f"output{i}" for i in range(len(outputs)))
        reached = [(n, o.detach()) for n, o in zip(names, outputs, strict=False) if o.requires_grad]
        if not reached:
            wanted = ", ".join(declared.gradients)
            raise ProblemError(f"no output depends on {wanted}: declare other gradients", path=self.entry)

        def draw_all(seed: int) -> list[Any]:
            return draw(seed) + [
                drawn({"kind": "normal"}, o.shape, str(o.dtype).removeprefix("torch.")) for _, o in reached
            ]

        return Instance(
            workload,
            model,
            draw_all,
            entry=self.entry,
            argument_names=(*declared.inputs, *(f"grad_{name}" for name, _ in reached)),
            output_names=(*names, *(f"grad_{name}" for name in declared.gradients)),
            non_finite=declared.non_finite,
        )


def _execute(sources: Mapping[str, str], entry: str, directory: Path) -> ModuleType:
    for name, text in sources.items():
        target = directory / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
    place = str((directory / entry).parent)
    if place not in sys.path:
        sys.path.append(place)
    name = f"kopt_problem_{digest_of(sources)[:12]}"  # torch.compile keeps guards by module name
    spec = importlib.util.spec_from_file_location(name, directory / entry)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses and inspect look their module up there
    _run("import", lambda: spec.loader.exec_module(module), entry)  # type: ignore[union-attr]
    return module


def _need(module: ModuleType, name: str, entry: str) -> Callable[..., Any]:
    found = getattr(module, name, None)
    if not callable(found):
        raise ProblemError(f"defines no {name}", path=entry)
    return found  # type: ignore[no-any-return]


def _run(what: str, call: Callable[[], Any], entry: str) -> Any:
    """Call problem code; a failure becomes one line with the problem's own file and line."""
    try:
        return call()
    except ProblemError:
        raise
    except Exception as error:
        raise problem_error(what, error, entry) from error


def problem_error(what: str, error: BaseException, entry: str) -> ProblemError:
    """One line for an exception raised by problem code: the innermost line of the problem's file."""
    frames = traceback.extract_tb(error.__traceback__)
    line = next((f.lineno for f in reversed(frames) if f.filename.endswith(f"/{entry}")), None)
    text = (str(error).strip() or "no message").splitlines()[0][:300]
    return ProblemError(f"{what} raised {type(error).__name__}: {text}", path=entry, line=line)
