"""The house: rooms, links, packaging, what imports cost, and whose packages win from the repository root."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
ROOMS = ["agents", "sandbox", "verifiers", "problems", "kernels", "rl", "web"]
KOPT = Path(sys.executable).with_name("kopt")
LIGHT = """
import sys, time
start = time.perf_counter()
{action}
seconds = time.perf_counter() - start
heavy = sorted({{"torch", "triton", "litellm", "optuna", "alembic", "sqlalchemy", "fastapi", "celery", "docker",
                "openai", "numpy", "mcp", "tree_sitter", "pydantic"}} & set(sys.modules))
print(seconds, *heavy)
"""


def python(*args: str, cwd: Path = ROOT, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *args],
        cwd=cwd,
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.mark.parametrize("room", ROOMS)
def test_each_link_points_at_its_room(room: str) -> None:
    link = ROOT / room
    assert link.is_symlink()
    assert link.readlink() == Path("kopt") / room
    assert (link / "__init__.py").is_file()


HELP = "from kopt.cli.main import main\nsys.argv[1:] = ['--help']\ntry: main()\nexcept SystemExit: pass"


@pytest.mark.timing
@pytest.mark.parametrize("action", ["import kopt", HELP], ids=["import kopt", "kopt --help"])
def test_import_and_help_are_light(action: str) -> None:
    best = 9.0
    for _ in range(5):  # the best of five: a neighbour on a shared core must not fail this
        done = python("-c", LIGHT.format(action=action))
        seconds, *heavy = done.stdout.strip().splitlines()[-1].split()
        assert heavy == [], f"{action} imports {heavy}"
        best = min(best, float(seconds))
    assert best <= 0.5


@pytest.mark.timing
def test_help_as_a_command_is_quick() -> None:
    times = []
    for _ in range(5):
        start = time.perf_counter()
        done = subprocess.run([KOPT, "--help"], cwd=ROOT, capture_output=True, text=True, timeout=60)
        times.append(time.perf_counter() - start)
        assert done.returncode == 0 and "optimize" in done.stdout
    assert min(times) <= 0.5


@pytest.fixture
def public_packages(tmp_path: Path) -> Path:
    """Stand-ins for the public packages whose names kopt's rooms share."""
    for name in ("kernels", "verifiers", "agents"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text(f"WHO = 'public {name}'\n")
    return tmp_path


PROBE = "import {name}; assert {name}.WHO == 'public {name}', {name}.__file__"


@pytest.mark.parametrize("name", ["kernels", "verifiers", "agents"])
def test_python_dash_m_kopt_does_not_shadow_public_packages(name: str, public_packages: Path) -> None:
    code = (
        "import runpy, sys; sys.argv = ['kopt', '--version']\n"
        "sys.path[0] = {root!r}\n"  # what `python -m kopt` puts there
        "try: runpy.run_module('kopt', run_name='__main__', alter_sys=False)\n"
        "except SystemExit: pass\n" + PROBE.format(name=name)
    ).format(root=str(ROOT))
    done = python("-c", code, PYTHONPATH=str(public_packages))
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("command", [["-m", "pytest"], ["-c", "import pytest, sys; sys.exit(pytest.main())"]])
def test_pytest_from_the_root_does_not_shadow_public_packages(
    command: list[str], public_packages: Path
) -> None:
    done = python(
        *command, "-p", "no:cacheprovider", "tests/probe_shadowing.py", PYTHONPATH=str(public_packages)
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "3 passed" in done.stdout


def archived(tree: Path) -> None:
    """What an archive of the repository holds; of a checkout without its history, what the wheel is made from."""
    if (ROOT / ".git").exists():
        archive = tree.with_suffix(".tar")
        subprocess.run(["git", "archive", "-o", archive, "HEAD"], cwd=ROOT, check=True)
        with tarfile.open(archive) as tar:
            tar.extractall(tree, filter="data")
        return
    shutil.copytree(ROOT / "kopt", tree / "kopt", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tree)


@pytest.mark.needs("git")
def test_an_archive_without_links_builds_installs_and_runs(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    archived(tree)
    for room in ROOMS:
        if (tree / room).is_symlink():
            (tree / room).unlink()
    built = python("-m", "build", "--wheel", "--no-isolation", "--outdir", str(tmp_path / "dist"), str(tree))
    assert built.returncode == 0, built.stderr
    target = tmp_path / "site"
    wheel = next((tmp_path / "dist").glob("*.whl"))
    installed = python("-m", "pip", "install", "--quiet", "--no-deps", "--target", str(target), str(wheel))
    assert installed.returncode == 0, installed.stderr
    done = python(str(target / "bin" / "kopt"), "problems", "list", cwd=tmp_path, PYTHONPATH=str(target))
    assert done.returncode == 0 and "rms_norm" in done.stdout, done.stderr
    assert (target / "kopt" / "problems" / "suite" / "norm" / "rms_norm.py").is_file()
    assert not list(target.glob("kernels"))
