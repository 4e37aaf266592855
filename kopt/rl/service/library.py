"""Looking up the library's kernels: which of them resemble what somebody is about to write?

Ranked by shared identifiers, each weighted by how rare it is among the kernels (inverse document frequency): a word
that every kernel has says nothing. Reads files; does no work in a sandbox and spends nothing.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from pathlib import Path
from typing import Any

from kopt.kernels import TamperedKernel
from kopt.kernels.library import Entry, entries
from kopt.kernels.machine import difference, facts
from kopt.rl.service import answers
from kopt.words import Speedup, from_json

MOST_SOURCE = 64 << 10
_WORD = re.compile(r"[a-z][a-z0-9]+")


def search(query: str, *, limit: int, sources: bool, library: Path | None = None) -> list[dict[str, Any]]:
    """The kernels that share most with a query, best first; all of them, newest first, for an empty one.

    Args:
        query: words, or the text of a problem.
        limit: most kernels to return.
        sources: add each kernel's source, up to 64 KiB of all together.
        library: where the kernels are.
    """
    known = [pair for pair in map(_read, entries(library)) if pair is not None]
    count = Counter(word for _, _, words in known for word in words)
    wanted = set(_split(query))

    def score(words: set[str]) -> float:
        return sum(math.log(1 + len(known) / count[word]) for word in wanted & words)

    ranked = [(score(words), entry, told) for entry, told, words in known]
    if wanted:
        ranked = [one for one in ranked if one[0] > 0]
    ranked.sort(key=lambda one: (-one[0], -float(one[1].manifest["admitted_at"])))
    room, found = MOST_SOURCE, []
    for _, entry, told in ranked[:limit]:
        text = _source(entry) if sources else ""
        if sources and len(text) <= room:
            told["source"], room = text, room - len(text)
        found.append(told)
    return found


def _read(entry: Entry | TamperedKernel) -> tuple[Entry, dict[str, Any], set[str]] | None:
    """A kernel, what is told of it, and its words; None where its certificate is not one of ours."""
    if isinstance(entry, TamperedKernel):
        return None
    try:
        return entry, _told(entry), _words(entry)
    except (KeyError, TypeError, ValueError, AttributeError):
        return None


def _split(text: str) -> list[str]:
    return _WORD.findall(re.sub(r"(?<=[a-z])(?=[A-Z])", " ", text).lower())


def _words(entry: Entry) -> set[str]:
    texts = [entry.name, str(entry.certificate["problem"]["name"])]
    texts += [_text(entry, path) for path in entry.certificate["files"] if path.startswith("reference/")]
    return {word for text in texts for word in _split(text)}


def _text(entry: Entry, path: str) -> str:
    try:
        return entry.read(path).decode("utf-8", "replace")
    except TamperedKernel:
        return ""


def _source(entry: Entry) -> str:
    paths = [path for path in entry.certificate["files"] if path.startswith("candidate/")]
    return "\n".join(_text(entry, path) for path in paths)


def _told(entry: Entry) -> dict[str, Any]:
    certificate = entry.certificate
    changed = entry.changed()
    trouble = "its files have changed" if changed else difference(certificate["machine"], facts())
    speedups = certificate["evaluation"]["speedup"].items()
    told: dict[str, Any] = {
        "kernel": entry.name,
        "problem": certificate["problem"]["name"],
        "language": certificate["candidate"]["language"],
        "speedup": {n: answers.speedup(from_json(Speedup, s)) for n, s in speedups if s is not None},
        "verified": [
            {a["name"]: f"{a['dtype']}{a['shape']}" for a in spec["arguments"] if a["kind"] == "tensor"}
            for spec in certificate["specs"][:4]
        ],
        "usable_here": trouble is None,
    }
    if trouble is not None:
        told["trouble"] = answers.line(trouble)
    return told
