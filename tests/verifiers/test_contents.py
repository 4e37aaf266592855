"""New contents: drawn by several references at once, each slot anew."""

from __future__ import annotations

from contextlib import closing

import numpy as np

from kopt.verifiers.contents import draw
from kopt.verifiers.reference import Reference


def rows(reference: Reference) -> list[bytes]:
    assert reference.ring is not None
    return [
        b"".join(part.tobytes() for part in reference.ring.inputs_of(s))
        for s in range(len(reference.ring.rows))
    ]


def test_every_reference_draws_its_share_and_the_first_has_all(silu) -> None:
    bench = silu.timed[0]
    with closing(Reference(silu.problem, silu.sandbox)) as other:
        other.select(bench.workload, bench.seed)
        other.attach(bench.layout)
        slots = range(1, bench.layout.slots)  # not the first
        before, before_other = rows(bench.eager), rows(other)
        draw([bench.eager, other], slots)
        after, after_other = rows(bench.eager), rows(other)
    assert after[0] == before[0] and after_other[0] == before_other[0]
    assert len({*before, *after[1:]}) == len(set(before)) + len(slots)  # all new, no two alike
    shared = [s for s in slots if after[s] == after_other[s]]
    assert shared == list(slots)[len(slots) // 2 :]  # the other's share
    values = np.frombuffer(b"".join(after[1:]), np.float32)
    assert abs(values.mean()) < 0.01 and abs(values.std() - 1) < 0.01  # as the problem draws them


def test_one_slot_needs_one_reference(silu) -> None:
    bench = silu.timed[0]
    with closing(Reference(silu.problem, silu.sandbox)) as other:
        other.select(bench.workload, bench.seed)
        other.attach(bench.layout)
        before, before_other = rows(bench.eager), rows(other)
        draw([bench.eager, other], [3])
        changed = [s for s, row in enumerate(rows(bench.eager)) if row != before[s]]
        assert changed == [3] and rows(other) == before_other
