"""Real problems in a real sandbox, shared by the tests of a module."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from kopt.sandbox import Sandbox
from kopt.settings import Settings
from kopt.verifiers import Evaluator
from kopt.words import Problem

SILU = """
import torch
import torch.nn as nn


class Model(nn.Module):
    def forward(self, x):
        return x * torch.sigmoid(x)


def get_inputs():
    return [torch.randn(128, 512)]


def get_init_inputs():
    return []
"""


def problem(text: str, name: str = "silu") -> Problem:
    """A problem in format (a), from its text."""
    return Problem(
        name=name, format="model", sources={f"{name}.py": text}, entry=f"{name}.py", path=f"{name}.py"
    )


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One home for all tests of a session: builds and peaks are made once."""
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="session")
def settings(home: Path) -> Settings:
    """Short waits."""
    return Settings(home=home, call_seconds=8.0, memory_bytes=4 << 30)


@pytest.fixture(scope="session")
def lent(settings: Settings, lend: Callable[..., AbstractContextManager[Sandbox]]) -> Iterator[Sandbox]:
    """A sandbox that stays open when an evaluator is closed; a module of attacks has ``auto`` instead."""
    with lend(settings) as sandbox:
        yield sandbox


@pytest.fixture(scope="module")
def open_evaluator(settings: Settings, lent: Sandbox | str) -> Iterator[Callable[[str], Evaluator]]:
    """Open an evaluator for a problem's text; eager is taken for the better baseline, so nothing compiles."""
    opened = []

    def open_one(text: str) -> Evaluator:
        evaluator = Evaluator(problem(text), sandbox=lent, settings=settings)
        opened.append(evaluator)
        for bench in evaluator.timed:
            evaluator.known.record(bench.name, {"eager": bench.call_seconds, "compile": None}, {})
        return evaluator

    yield open_one
    for evaluator in opened:
        evaluator.close()


@pytest.fixture(scope="module")
def silu(open_evaluator: Callable[[str], Evaluator]) -> Evaluator:
    """The small problem most tests use."""
    return open_evaluator(SILU)
