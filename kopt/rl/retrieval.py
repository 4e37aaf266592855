"""The library's kernels for problems like this one: chosen once a run, by the operators that the references name.

What was chosen is kept with the run's id. The library grows meanwhile, perhaps by this very run's winner, and a
resumed run has to ask its models what it asked them before.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Any

from kopt.agents.chat.cache import ReplyCache
from kopt.agents.context import Similar
from kopt.agents.operators import likeness, operators
from kopt.kernels import TamperedKernel
from kopt.kernels.library import Entry, entries
from kopt.problems.shown import shown_text
from kopt.settings import Settings
from kopt.words import Problem, digest_of, from_json

ALIKE = 0.25
"""The likeness from which a kernel is shown."""


def similar_kernels(problem: Problem, most: int, settings: Settings, run: str = "") -> tuple[Similar, ...]:
    """The kernels most like a problem, best first and the fastest first among equals.

    Args:
        problem: what is to be written.
        most: how many.
        settings: where library and what was kept are.
        run: under which name the choice is kept; it is not where there is none.
    """
    kept, key = ReplyCache(settings.home / "retrieved"), digest_of({"run": run, "problem": problem.digest})
    document = kept.get(key) if run else None
    if document is not None:
        with contextlib.suppress(KeyError, TypeError, ValueError):
            return tuple(from_json(Similar, one) for one in document["kernels"])
    found = ranked_kernels(operators(shown_text(problem)), most, settings)
    if run:
        kept.put(key, {"run": run, "problem": problem.name}, {"kernels": found})
    return found


def ranked_kernels(
    words: frozenset[str], most: int, settings: Settings, least: float = ALIKE
) -> tuple[Similar, ...]:
    """The kernels whose references name such operators, best first; ``least`` is the likeness from which they count."""
    ranked = []
    for entry in entries(settings.library):
        if isinstance(entry, Entry):
            with contextlib.suppress(TamperedKernel, KeyError, TypeError, ValueError, AttributeError):
                alike, kernel = _read(entry, words)
                if alike >= least:
                    ranked.append((-alike, -kernel.gain, kernel.name, kernel))
    return tuple(kernel for *_, kernel in sorted(ranked, key=lambda one: one[:3])[:most])


def _read(entry: Entry, words: frozenset[str]) -> tuple[float, Similar]:
    """How like a kernel is, and the kernel.

    Raises:
        TamperedKernel: its bytes are not those it was admitted with.
    """
    certificate: Mapping[str, Any] = entry.certificate
    reference = entry.read(f"reference/{certificate['problem']['entry']}").decode("utf-8", "replace")
    sources = [
        entry.read(path).decode("utf-8", "replace") for path in certificate["files"] if _is_source(path)
    ]
    gains = [float(one["ratio"]) for one in certificate["evaluation"]["speedup"].values() if one]
    kernel = Similar(
        name=entry.name,
        language=str(certificate["candidate"]["language"]),
        gain=min(gains),
        source="\n".join(sources),
    )
    return likeness(words, operators(reference)), kernel


def _is_source(path: str) -> bool:
    return path.startswith("candidate/")
