"""What is not worth an evaluation: a program seen before, and one more variation where variations bring nothing.

ShinkaEvolve (Lange et al., 2025) rejects candidates whose embedding is close to a known one, before evaluating them.
Here no model is asked: programs are compared by the sketches of Broder, "On the resemblance and containment of
documents" (1997). A small change may be what matters, so likeness alone refuses nothing; it takes a crowd of alike
candidates none of which was better than what it came from.
"""

from __future__ import annotations

import re
import zlib

from kopt.agents.normal import identity
from kopt.words import Candidate

CROWD = 6
"""Alike candidates in a row without a gain after which another is refused."""
SHINGLE = 5
SKETCH = 128
_TOKEN = re.compile(r"\w+|[^\w\s]")
_MOST_TOKENS = 50_000

Sketch = frozenset[int]


def sketch(candidate: Candidate) -> Sketch:
    """The smallest hashes of all runs of a few tokens in a candidate's sources."""
    tokens = [t for path in sorted(candidate.sources) for t in _TOKEN.findall(candidate.sources[path])]
    tokens = tokens[:_MOST_TOKENS]
    ends = range(SHINGLE, max(SHINGLE, len(tokens)) + 1)
    hashes = {zlib.crc32(" ".join(tokens[end - SHINGLE : end]).encode()) for end in ends}
    return frozenset(sorted(hashes)[:SKETCH])


def resemblance(one: Sketch, other: Sketch) -> float:
    """An estimate of how much of two programs is the same, 0 to 1."""
    if one and one.isdisjoint(other):
        return 0.0
    smallest = sorted(one | other)[:SKETCH]
    return sum(h in one and h in other for h in smallest) / len(smallest) if smallest else 1.0


class Novelty:
    """Remembers what was evaluated."""

    def __init__(self, alike: float) -> None:
        """Start with nothing seen.

        Args:
            alike: the resemblance from which two candidates are variations of each other; above 1 nothing is.
        """
        self._alike = alike
        self._identities: set[str] = set()
        self._seen: list[tuple[Sketch, bool]] = []
        self._latest: tuple[str, Sketch] = ("", frozenset())

    def refusal(self, candidate: Candidate) -> str | None:
        """Why a candidate is not worth an evaluation, or None."""
        if identity(candidate) in self._identities:
            return "the same program was tried before"
        own, fruitless = self._sketch(candidate), 0
        for other, gained in reversed(self._seen):
            if resemblance(own, other) < self._alike:
                continue
            if gained:
                break
            fruitless += 1
            if fruitless == CROWD:
                return f"the last {CROWD} programs like it brought nothing"
        return None

    def note(self, candidate: Candidate, *, gained: bool) -> None:
        """A candidate was evaluated; ``gained``: it was better than what it came from."""
        self._identities.add(identity(candidate))
        self._seen.append((self._sketch(candidate), gained))

    def _sketch(self, candidate: Candidate) -> Sketch:
        """Sketched once: what is refused or not is noted next."""
        if self._latest[0] != candidate.digest:
            self._latest = candidate.digest, sketch(candidate)
        return self._latest[1]
