"""The harness of this folder is imported by name."""

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent))


@pytest.fixture(autouse=True)
def there_before() -> None:
    """What a test finds left over is its own: a sandbox lent to other tests of this worker is not."""
    from cli_harness import THERE_BEFORE, children

    THERE_BEFORE.clear()
    THERE_BEFORE.update(pid for pid, _ in children(os.getpid()))


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
