"""Which of the candidate's loops are hot, without sampling: the heaviest innermost ones.

A loop weighs its arithmetic and memory instructions, four times as much for each loop around it. Compilers make several
versions of one loop (vectorised, for what remains, for pointers that overlap); those share source lines, and the one
with the widest vectors stands for all, for it does nearly all passes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from kopt.verifiers.profile import mix as mixes
from kopt.verifiers.profile.listing import Listing, Remark
from kopt.verifiers.profile.loops import Loop, innermost
from kopt.verifiers.profile.mix import Mix
from kopt.words import HotLoop

MOST_LOOPS = 3
SHOWN = 40
"""Instructions of one loop that are kept."""
REMARKS = 4
HOW = (
    "no samples were taken: the hot loops are the innermost ones with most arithmetic and memory instructions"
)
_INNER = 4.0
_ALIKE = 1 / 3
_PRAGMA = 2
"""Lines above a loop that its remarks may name instead: those of its pragma."""
_MOST_LOOPS_READ = 400
_TELLING = (
    "clobbers memory",
    "complicated access",
    "reduction",
    "data ref",
    "control flow",
    "nested loops",
    "no vectype",
)
"""Words of remarks that give a reason, the plainest first."""


@dataclass(frozen=True)
class _Weighed:
    loop: Loop
    mix: Mix
    file: str
    lines: frozenset[int]

    @property
    def weight(self) -> float:
        return self.mix.weight * _INNER ** (self.loop.depth - 1)


def loops(listing: Listing) -> tuple[HotLoop, ...]:
    """The hot loops of a candidate, hottest first; at most :data:`MOST_LOOPS`."""
    weighed: list[_Weighed] = []
    for function in listing.functions:
        for loop in innermost(function):
            found = _weigh(loop)
            if found is not None and len(weighed) < _MOST_LOOPS_READ:
                weighed.append(found)
    chosen = [_widest(group) for group in _versions(weighed)]
    chosen.sort(key=lambda one: -one.weight)
    return tuple(_told(one, listing.remarks) for one in chosen[:MOST_LOOPS])


def _widest(group: Sequence[_Weighed]) -> _Weighed:
    # A lighter one is another loop on the same line, over a tensor's axes for one.
    least = _ALIKE * max(one.mix.weight for one in group)
    versions = [one for one in group if one.mix.weight >= least]
    return max(versions, key=lambda one: (0 if one.mix.scalar else one.mix.vector_bytes, one.weight))


def _weigh(loop: Loop) -> _Weighed | None:
    """None for a loop without a line of the candidate's own, and for one that does nothing."""
    mix = mixes.of(loop.code)
    places: dict[str, list[int]] = {}
    for instruction in loop.code:
        if instruction.file:
            places.setdefault(instruction.file, []).append(instruction.line)
    if not places or not mix.weight:
        return None
    file = max(places, key=lambda name: len(places[name]))
    return _Weighed(loop, mix, file, frozenset(places[file]))


def _versions(weighed: Sequence[_Weighed]) -> list[list[_Weighed]]:
    groups: list[list[_Weighed]] = []
    for one in sorted(weighed, key=lambda w: (-w.weight, w.loop.code[0].address)):
        for group in groups:
            first = group[0]
            shared = len(one.lines & first.lines)
            if one.file == first.file and 2 * shared > min(len(one.lines), len(first.lines)):
                group.append(one)
                break
        else:
            groups.append([one])
    return groups


def _told(one: _Weighed, remarks: Sequence[Remark]) -> HotLoop:
    first, last = min(one.lines), max(one.lines)
    mix = one.mix
    code = [str(i) for i in one.loop.code]
    left = len(code) - SHOWN
    assembly = code if left <= 0 else [*code[: SHOWN - 1], f"... and {left + 1} more instructions"]
    counts = vars(mix) | {
        "cycles": round(mix.cycles, 1),
        "division_cycles": round(mix.division_cycles, 1),
        "calls": tuple(mix.calls),
    }
    return HotLoop(
        function=one.loop.function[:200],
        file=one.file,
        lines=(first, last),
        depth=one.loop.depth,
        remarks=condensed(remarks, one.file, first, last),
        assembly=tuple(line[:160] for line in assembly),
        **counts,
    )


def condensed(remarks: Sequence[Remark], file: str, first: int, last: int) -> tuple[str, ...]:
    """The remarks on a stretch of lines that say that it was vectorised or why not; the general ones only alone."""
    near = [r for r in remarks if r.file == file and first - _PRAGMA <= r.line <= last]
    here = [r for r in near if r.line >= first]
    telling = [r for word in _TELLING for r in here if r.missed and word in r.text]
    chosen = [*[r for r in near if not r.missed][:2], *telling] or here
    lines = (f"{r.file}:{r.line}: {'missed' if r.missed else 'done'}: {r.text.strip()}" for r in chosen)
    return tuple(dict.fromkeys(lines))[:REMARKS]
