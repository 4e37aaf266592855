"""The folder of a code problem, or of a change to one, as text: which files there are, and who may see them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from kopt.errors import ProblemError

ENTRY = "kopt.toml"
JUDGE = "judge/"
_MOST_BYTES, _MOST_FILES = 4 << 20, 400
_SKIPPED = {"__pycache__", ".git", ".pytest_cache", ".venv", "node_modules", ".mypy_cache", ".ruff_cache"}


def is_code(path: Path) -> bool:
    """Whether a path is a code problem's: its folder or its ``kopt.toml``."""
    return path.name == ENTRY or (path / ENTRY).is_file()


def read_folder(folder: Path) -> dict[str, str]:
    """The text files of a folder by relative path; what tools leave behind and what is no text is left out.

    Raises:
        ProblemError: there is no such folder, a file cannot be read, or there is too much.
    """
    if not folder.is_dir():
        raise ProblemError("no such folder", path=str(folder))
    found: dict[str, str] = {}
    size = 0
    for file in sorted(folder.rglob("*")):
        parts = file.relative_to(folder).parts
        if _SKIPPED & set(parts) or file.is_symlink() or not file.is_file():
            continue
        try:
            size += file.stat().st_size
            if size > _MOST_BYTES or len(found) >= _MOST_FILES:
                raise ProblemError(
                    "holds more than 4 MiB or 400 files: take the part that matters", path=str(folder)
                )
            text = file.read_bytes().decode("utf-8")
        except UnicodeDecodeError:
            continue
        except OSError as error:
            raise ProblemError(f"cannot be read: {error.strerror}", path=str(file)) from None
        if "\0" not in text:
            found["/".join(parts)] = text
    return found


def visible(sources: Mapping[str, str]) -> dict[str, str]:
    """What candidates and proposers see of a problem: all but the judge's files and the rules."""
    return {name: text for name, text in sources.items() if name != ENTRY and not name.startswith(JUDGE)}
