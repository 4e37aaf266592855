"""Not collected by itself: tests/test_layout.py runs it in a fresh pytest that has stand-in public packages."""

from __future__ import annotations

import importlib

import pytest


@pytest.mark.parametrize("name", ["kernels", "verifiers", "agents"])
def test_the_public_package_wins(name: str) -> None:
    assert f"public {name}" == importlib.import_module(name).WHO
