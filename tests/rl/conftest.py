"""The test doubles of this folder are imported by name."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from kopt.settings import Settings

sys.path.append(str(Path(__file__).parent))


@pytest.fixture
def settings(tmp_path: Path, furnished: Callable[..., Path]) -> Settings:
    """A home without runs, kernels and database; these tests invent no baselines."""
    return Settings(home=furnished(tmp_path / "home", baselines="rl"))
