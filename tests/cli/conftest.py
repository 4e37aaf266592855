"""The harness of this folder is imported by name."""

import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent))


@pytest.fixture
def problem(tmp_path: Path) -> Path:
    """A small problem in a file."""
    from cli_harness import MODEL

    path = tmp_path / "toy.py"
    path.write_text(MODEL)
    return path
