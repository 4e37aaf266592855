"""Read a candidate that a person or another tool wrote, from one file. Nothing of it is executed.

``.cpp`` and ``.cu`` files name their entry by what they export through TVM-FFI. ``.py`` files define
``ModelNew``, or a function ``run`` (returning) or ``run_into`` (destination style); one that uses
``triton.jit`` is Triton. ``.json`` files are FlashInfer-Bench solutions, or kopt's own candidates.

A file that can be read is a candidate, however bad: that it has no entry or does not parse is for the judge to say.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kopt.errors import UsageError
from kopt.words import Candidate, Language, Style, from_json
from kopt.words.source_file import SUFFIXES, candidate_of

MOST_BYTES = 8 << 20
_LANGUAGES = {
    "cpp": Language.CPP,
    "c++": Language.CPP,
    "cuda": Language.CUDA,
    "triton": Language.TRITON,
    "python": Language.TORCH,
    "pytorch": Language.TORCH,
    "torch": Language.TORCH,
}


def read_candidate(path: str | Path) -> Candidate:
    """Read a candidate from a file.

    Raises:
        UsageError: the file is missing, not text, or of no known kind.
    """
    path = Path(path)
    text = _text(path)
    suffix = path.suffix.lower()
    if suffix in SUFFIXES:
        return candidate_of(path.name, text)
    if suffix == ".json":
        return _document(path, text)
    raise UsageError(
        f"{path}: a candidate is a .cpp, .cu, .py or .json file; rename it, or give one of these"
    )


def _text(path: Path) -> str:
    try:
        if path.is_dir():
            raise UsageError(f"{path} is a folder; give the candidate's file")
        if path.stat().st_size > MOST_BYTES:
            raise UsageError(f"{path} is larger than {MOST_BYTES >> 20} MiB; give the source, not data")
        return path.read_bytes().decode("utf-8")
    except FileNotFoundError:
        raise UsageError(f"{path}: no such file; give the path of a candidate") from None
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}; give a file that can be read") from None
    except UnicodeDecodeError:
        raise UsageError(f"{path} is not UTF-8 text; give the source, not a built file") from None


def _document(path: Path, text: str) -> Candidate:
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{path}: not JSON ({error}); give a solution or candidate document") from None
    if not isinstance(document, dict):
        raise UsageError(f"{path}: not a JSON object; give a solution or candidate document")
    try:
        return _solution(document) if "spec" in document else from_json(Candidate, document)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        line = " ".join(str(error).split())[:200]
        raise UsageError(f"{path}: not a solution or candidate document: {line}") from None


def _solution(document: Mapping[str, Any]) -> Candidate:
    """FlashInfer-Bench's Solution."""
    spec = document["spec"]
    language = spec["language"] if isinstance(spec["language"], str) else spec["language"][0]
    if language.lower() not in _LANGUAGES:
        raise ValueError(f"language {language!r} is none of {', '.join(sorted(_LANGUAGES))}")
    destination = bool(spec.get("destination_passing_style", True))
    return Candidate(
        sources={str(source["path"]): str(source["content"]) for source in document["sources"]},
        language=_LANGUAGES[language.lower()],
        entry=str(spec["entry_point"]),
        style=Style.DESTINATION if destination else Style.RETURNING,
        proposer=str(document.get("author") or "person"),
        notes={"title": str(document.get("name", ""))},
    )
