"""Time sides against each other: fresh contents every round, one side runs, the others are frozen.

An iteration fills the slots of one stretch with inputs under secret seeds, then lets every side run on its
own copy, in random order, each after the caches were emptied. The round a candidate is timed on is the round
it is checked on.
"""

from __future__ import annotations

import functools
import random
import secrets
import statistics
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt

from kopt.verifiers.cases import DECLARED
from kopt.verifiers.clock import Agreement, Schedule, Stretch, agreement, last_level_cache
from kopt.verifiers.compare import check_sample
from kopt.verifiers.contents import draw
from kopt.verifiers.contestant import Contestant, Failure
from kopt.verifiers.dtypes import KINDS, itemsize
from kopt.verifiers.gate import CALLS, LONGEST, Contents, awake, paced, per_call
from kopt.verifiers.layout import Place
from kopt.verifiers.reference import Reference
from kopt.verifiers.ring import Ring
from kopt.verifiers.verify import Watch, describe, mismatch
from kopt.verifiers.workbench import Workbench
from kopt.words import Verdict

_SECRET = random.SystemRandom()
_SAMPLE = 1 << 17  # elements looked at after every round: few enough to leave the time to rounds
_CHECKED_SLOTS = 8
_CHECKED_CALLS = 4  # of the quickest at the gate, and as many of all
_BLOCK = 256


class Side(Protocol):
    """Anything that can be timed on a stretch of its own ring, and is frozen afterwards."""

    ring: Ring

    def round(self, stretch: Stretch) -> float:
        """Seconds of one round."""
        ...

    def paced(self, slots: Sequence[int], contents: Contents) -> list[float]:
        """Seconds of single calls through the gate (:mod:`~kopt.verifiers.gate`)."""
        ...


class ReferenceSide:
    """A baseline: the reference under one implementation."""

    def __init__(self, reference: Reference) -> None:
        assert reference.ring is not None
        self.reference, self.ring = reference, reference.ring

    def round(self, stretch: Stretch) -> float:
        """Seconds of one round."""
        seconds = self.reference.round(stretch.start, stretch.count)
        self.reference.freeze()
        return seconds

    def paced(self, slots: Sequence[int], contents: Contents, count: int = 1) -> list[float]:
        """Seconds of single calls through the gate (:mod:`~kopt.verifiers.gate`), or of none."""

        def ask(start: int, count: int) -> int:
            self.reference.round(start, count)
            return self.reference.runner.answered

        seconds, _ = paced(self.ring, ask, slots, contents, count)
        self.reference.freeze()
        return seconds


def scattered(elements: int, each: int, rows: int) -> npt.NDArray[np.int64]:
    """Indices below ``elements`` in random blocks: ``rows`` rows, each of about ``each`` of them, or of all."""
    if each >= elements:
        return np.broadcast_to(np.arange(elements), (rows, elements))
    width = min(_BLOCK, each)
    generator = np.random.default_rng(secrets.randbits(128))
    first = generator.integers(0, elements - width + 1, (rows, each // width))
    indices: npt.NDArray[np.int64] = (first[..., None] + np.arange(width)).reshape(rows, -1)
    return indices


@functools.cache
def _nobodys() -> npt.NDArray[np.uint64]:
    return np.ones(2 * last_level_cache() // 8, np.uint64)


def evict() -> None:
    """Fill the last-level cache with bytes nobody needs."""
    _nobodys().sum()


class Match:
    """Sides on one workbench, and the seconds per call of every round so far."""

    def __init__(self, bench: Workbench, sides: Mapping[str, Side]) -> None:
        self.bench, self.sides = bench, dict(sides)
        self.schedule = Schedule(bench.layout.slots)
        self.full: dict[str, list[float]] = {name: [] for name in sides}
        self.single: dict[str, list[float]] = {name: [] for name in sides}
        self._empty: dict[str, deque[float]] = {name: deque(maxlen=32) for name in sides}
        self._trusted: deque[float] = deque(maxlen=32)
        compared = [side.reference for side in sides.values() if isinstance(side, ReferenceSide)]
        self._references = [bench.eager, *(one for one in compared if one is not bench.eager)]
        self._mutates = bench.cases.mutates_inputs  # made now if they were not: making them uses the ring
        self._rounds = 0
        self.checked = 0

    def warm(self) -> None:
        """Two rounds that do not count: pages, threads, lazily made things."""
        for _ in range(2):
            self._iterate(self.schedule.full(), None)
        for name, side in self.sides.items():
            self._empty[name].extend(side.round(Stretch(0, 0)) for _ in range(4))
        self._trusted.extend(self.bench.eager.round(0, 0) for _ in range(4))
        self.bench.eager.freeze()

    def iterate(self) -> None:
        """One more: three times out of four on nearly all slots, which counts; else a short one."""
        self._rounds += 1
        if self._rounds % 4:
            self._iterate(self.schedule.full(), self.full)
        else:
            self.probe()

    def probe(self) -> None:
        """A short round: a single call, or a random number of calls."""
        stretch = self.schedule.short()
        self._iterate(stretch, self.single if stretch.count == 1 else None)

    def probe_single(self) -> None:
        """A round of one call."""
        stretch = self.schedule.short()
        self._iterate(Stretch(stretch.start, 1), self.single)

    def _iterate(self, stretch: Stretch, book: dict[str, list[float]] | None) -> None:
        names = list(self.sides)
        _SECRET.shuffle(names)
        for name in names:  # on old contents: nothing new can be looked at meanwhile
            self._empty[name].append(self.sides[name].round(Stretch(0, 0)))
        self._trusted.append(self.bench.eager.round(0, 0))
        self.bench.eager.freeze()
        watches = self._fill(stretch)
        _SECRET.shuffle(names)
        for name in names:
            evict()
            seconds = self.sides[name].round(stretch)
            spent = seconds - self._overhead(name)
            if book is not None:
                book[name].append(max(spent, 1e-9) / stretch.count)
        self._check(stretch, watches)

    def through_the_gate(self, name: str, baseline: str, times: int, enough: float) -> float:
        """Seconds per call of a contestant called one by one, on inputs written as they are asked.

        There are up to ``times`` series of calls; fewer if it is as quick as ``enough`` even when only an empty
        message's cost is taken off.
        """
        contestant, side, eager = self.sides[name], self.sides[baseline], self.bench.eager
        assert isinstance(contestant, Contestant)
        usual = self.full[baseline]
        known = isinstance(side, ReferenceSide) and statistics.median(usual) < LONGEST
        calls: list[float] = []
        empty: list[float] = []
        reference: list[float] = []
        for _ in range(times):
            slots = _SECRET.sample(range(self.schedule.slots), min(CALLS, self.schedule.slots))
            contents = self._contents(contestant, slots)
            with awake():  # around the calls only: whatever else is done takes twice as long beside it
                mine = contestant.paced(slots, contents)
                empty.extend(ReferenceSide(eager).paced(slots, contents, 0))
                if known:
                    reference.extend(side.paced(slots, contents))
            calls.extend(mine)
            self._check_paced(contestant, slots, contents, mine)
            if per_call(calls, empty, [], []) <= enough:
                break
        return per_call(calls, empty, reference, usual)

    def _contents(self, contestant: Contestant, slots: Sequence[int]) -> Contents:
        """New inputs for these slots, and poison where a contestant is to put its outputs."""
        eager = self.bench.eager
        assert eager.ring is not None
        draw(self._references, slots)
        for slot in slots:
            contestant.ring.poison(slice(slot, slot + 1))
        return [eager.ring.inputs_of(slot) for slot in slots]

    def _check_paced(
        self, contestant: Contestant, slots: Sequence[int], contents: Contents, seconds: Sequence[float]
    ) -> None:
        """Check the quickest calls, since they are what counts, and as many of all."""
        eager = self.bench.eager
        assert eager.ring is not None
        places = range(len(slots))
        quickest = sorted(places, key=seconds.__getitem__)[:_CHECKED_CALLS]
        looked = {*quickest, *_SECRET.sample(places, min(len(slots), _CHECKED_CALLS))}
        for place in looked:
            eager.ring.put_inputs(slots[place], contents[place])  # a reference may change its inputs
            eager.round(slots[place], 1)
            eager.flush([slots[place]])
        self._check_outputs(contestant, eager.ring, [slots[place] for place in looked])
        self.checked += len(looked)

    def _overhead(self, name: str) -> float:
        """What starting and stopping the clock costs: never more than the reference's runner needs for it.

        A candidate owns its process, so it could answer empty rounds late and have that taken off every round.
        """
        return min(statistics.median(self._empty[name]), statistics.median(self._trusted))

    def _fill(self, stretch: Stretch) -> dict[str, Watch]:
        eager = self.bench.eager
        assert eager.ring is not None
        draw(self._references, stretch.slots)
        slots = slice(stretch.start, stretch.start + stretch.count)
        watches = {}
        for name, side in self.sides.items():
            if side.ring is not eager.ring:
                side.ring.copy_inputs(eager.ring, stretch.slots)
            if isinstance(side, Contestant):
                side.ring.poison(slots)
                watches[name] = Watch(side.ring, stretch)
        return watches

    def _check(self, stretch: Stretch, watches: dict[str, Watch]) -> None:
        contestants = [s for s in self.sides.values() if isinstance(s, Contestant)]
        if not contestants:
            return
        eager = self.bench.eager
        assert eager.ring is not None
        slots = list(stretch.slots)
        alone = all(side.ring is not eager.ring for side in self.sides.values())
        if alone:  # nobody has computed what is right: done now, for slots drawn after the call
            slots = sorted(_SECRET.sample(slots, min(len(slots), _CHECKED_SLOTS)))
        if not self._mutates:
            for contestant in contestants:
                self._check_inputs(contestant, eager.ring, slots)
        if alone:
            for slot in slots:
                eager.round(slot, 1)
                eager.flush([slot])
        else:
            eager.flush(slots)
        for contestant in contestants:
            self._check_outputs(contestant, eager.ring, slots)
        if any(watch.touched() for watch in watches.values()):
            raise Failure(
                Verdict.TAMPERED, "it wrote to slots it was not called on: do each call's work in that call"
            )
        self.checked += len(slots)

    @staticmethod
    def _check_inputs(contestant: Contestant, truth: Ring, slots: Sequence[int]) -> None:
        for place in contestant.layout.role("input"):
            width = min(place.nbytes, max(64, _SAMPLE // len(slots)))
            first = _SECRET.randint(0, place.nbytes - width)
            window = slice(place.offset + first, place.offset + first + width)
            if any(not np.array_equal(contestant.ring.rows[s, window], truth.rows[s, window]) for s in slots):
                raise Failure(Verdict.TAMPERED, f"it changed its input {place.spec.name} in a timed round")

    def _check_outputs(self, contestant: Contestant, truth: Ring, slots: Sequence[int]) -> None:
        whole = _SECRET.choice(slots)
        for number, place in enumerate(contestant.layout.role("output")):
            if not place.nbytes:
                continue
            self._check_sample(contestant, truth, number, place, slots, _SAMPLE // len(slots))
            self._check_sample(contestant, truth, number, place, [whole], 2 * _SAMPLE)

    def _check_sample(
        self,
        contestant: Contestant,
        truth: Ring,
        number: int,
        place: Place,
        slots: Sequence[int],
        each: int,
    ) -> None:
        """Compare about ``each`` elements of one output in every slot, in many small blocks.

        Many small ones rather than one large: a part left out anywhere is met.
        """
        if place.dense:
            size = itemsize(place.spec.dtype)
            elements = scattered(place.nbytes // size, max(16, each), len(slots))
            starts = (np.asarray(slots)[:, None] * contestant.layout.stride + place.offset) // size
            storage = KINDS[place.spec.dtype].storage
            mine, theirs = (
                ring.rows.reshape(-1).view(storage)[starts + elements] for ring in (contestant.ring, truth)
            )
        else:
            mine = np.stack([place.flat(contestant.ring.slot(s)) for s in slots])
            theirs = np.stack([place.flat(truth.slot(s)) for s in slots])
            elements = np.broadcast_to(np.arange(mine.shape[1]), mine.shape)
        finding = check_sample(
            self.bench.cases.models[number], place.spec.dtype, mine.ravel(), theirs.ravel()
        )
        if not finding.passed:
            origin = int(elements.ravel()[finding.position]) - finding.position
            worst = mismatch(contestant, DECLARED, number, finding, origin)
            raise Failure(Verdict.WRONG, f"in a timed round {describe(worst, finding)}", worst=worst)

    def agreement(self, candidate: str, reference: str) -> Agreement:
        """Whether the candidate's single calls and full rounds tell the same time."""
        return agreement(
            self.single[candidate], self.full[candidate], self.single[reference], self.full[reference]
        )
