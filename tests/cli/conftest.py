"""The harness of this folder is imported by name."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent))


@pytest.fixture
def home(tmp_path: Path, furnished: Callable[..., Path]) -> dict[str, str]:
    """The variable that names a home without runs, kernels and database: what a test says it found is its own."""
    return {"KOPT_HOME": str(furnished(tmp_path / "home", baselines="cli"))}


@pytest.fixture
def problem(tmp_path: Path) -> Path:
    """A small problem in a file."""
    from cli_harness import MODEL

    path = tmp_path / "toy.py"
    path.write_text(MODEL)
    return path
