"""A ring in the judge's hands: pages shared with one runner, filled, poisoned, sampled and compared here.

Slots are rows of one two-dimensional byte array, so that whatever concerns many slots is one numpy operation.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import Any

import numpy as np

from kopt.sandbox import SharedBuffer
from kopt.verifiers.dtypes import KINDS, Array
from kopt.verifiers.layout import Bytes, Layout, Place

_SIGNALLING = {"float64": (0x7FF4 << 48, 50), "float32": (0x7FA0 << 16, 21), "float16": (0x7D00, 8)}


def poison(dtype: str) -> int:
    """A stored element that no answer contains by accident: a signalling NaN with random payload."""
    size = np.dtype(KINDS[dtype].storage).itemsize
    if dtype == "bfloat16":
        return 0x7FA0 | secrets.randbits(4) | 1
    if dtype in _SIGNALLING:
        base, bits = _SIGNALLING[dtype]
        return base | secrets.randbits(bits) | 1
    return secrets.randbits(8 * size) | (0x82 if dtype == "bool" else 1)


class Ring:
    """One runner's inputs and outputs."""

    def __init__(self, layout: Layout, buffer: SharedBuffer | None = None) -> None:
        self.layout = layout
        self.buffer = buffer or SharedBuffer(layout.size, "ring")
        self.rows = self.buffer.array[: layout.size].reshape(layout.slots, layout.stride)

    def close(self) -> None:
        """Give the memory back."""
        self.rows = np.empty((0, 0), np.uint8)
        self.buffer.close()

    def attachment(self) -> dict[str, Any]:
        """The body of ``attach``."""
        return {"ring": self.layout.to_json()}

    def slot(self, index: int) -> Bytes:
        """The bytes of one slot."""
        row: Bytes = self.rows[index]
        return row

    def columns(self, place: Place, slots: slice) -> Bytes:
        """One tensor's bytes in several slots, a row for each."""
        return self.rows[slots, place.offset : place.offset + place.nbytes]

    def poison(self, slots: slice) -> None:
        """Overwrite the outputs of some slots with patterns drawn now."""
        for place in self.layout.role("output"):
            kind = np.dtype(KINDS[place.spec.dtype].storage)
            raw = np.array([poison(place.spec.dtype)], f"u{kind.itemsize}")
            if place.nbytes:
                self.columns(place, slots).view(raw.dtype)[...] = raw[0]

    def fill_gaps(self) -> None:
        """Random bytes into inputs with gaps, whose elements are written afterwards: what reads a gap finds no zeros.

        They travel with the inputs, and are compared with them after the call.
        """
        generator = np.random.default_rng(secrets.randbits(128))
        for place in self.layout.role("input"):
            for slot in range(self.layout.slots if not place.dense else 0):
                self.slot(slot)[place.offset : place.offset + place.nbytes] = generator.integers(
                    256, size=place.nbytes, dtype=np.uint8
                )

    def fence(self, slot: int) -> Bytes:
        """Fill the bytes behind every tensor of a slot, up to the end of its page, with random ones; return them.

        What reads past an end finds numbers of every size there, what writes past it is found out.
        """
        noise = np.frombuffer(secrets.token_bytes(self._fenced()), np.uint8)
        at = 0
        for part in self._behind(slot):
            part[...] = noise[at : at + part.size]
            at += part.size
        return noise

    def breached(self, slot: int, noise: Bytes) -> str | None:
        """The tensor behind whose end something was written since :meth:`fence`."""
        at = 0
        for place, part in zip(self.layout.places, self._behind(slot), strict=True):
            if not np.array_equal(part, noise[at : at + part.size]):
                return place.spec.name
            at += part.size
        return None

    def _fenced(self) -> int:
        return sum(place.behind for place in self.layout.places)

    def _behind(self, slot: int) -> list[Bytes]:
        ends = [(place.offset + place.nbytes, place.behind) for place in self.layout.places]
        return [self.slot(slot)[end : end + length] for end, length in ends]

    def copy_inputs(self, source: Ring, slots: Sequence[int]) -> None:
        """Take the inputs of some slots from another ring of the same layout."""
        # A slice is quicker than a list of numbers.
        chosen = slice(slots.start, slots.stop, slots.step) if isinstance(slots, range) else list(slots)
        inputs = self.layout.role("input")
        if inputs and inputs[-1].offset + inputs[-1].nbytes <= self.layout.stride:
            end = inputs[-1].offset + inputs[-1].nbytes
            self.rows[chosen, inputs[0].offset : end] = source.rows[chosen, inputs[0].offset : end]

    def put_inputs(self, slot: int, contents: Sequence[Bytes]) -> None:
        """Write one slot's inputs."""
        for place, content in zip(self.layout.role("input"), contents, strict=True):
            self.slot(slot)[place.offset : place.offset + place.nbytes] = content

    def inputs_of(self, slot: int) -> tuple[Bytes, ...]:
        """Copies of one slot's inputs."""
        row = self.slot(slot)
        return tuple(row[p.offset : p.offset + p.nbytes].copy() for p in self.layout.role("input"))

    def inputs_equal(self, slot: int, contents: Sequence[Bytes]) -> bool:
        """Whether one slot's inputs still are what was written."""
        row = self.slot(slot)
        return all(
            _same(row[p.offset : p.offset + p.nbytes], content)
            for p, content in zip(self.layout.role("input"), contents, strict=True)
        )

    def outputs_of(self, slot: int) -> tuple[Array, ...]:
        """The stored elements of one slot's outputs (views where dense)."""
        return tuple(p.flat(self.slot(slot)) for p in self.layout.role("output"))


def _same(a: Bytes, b: Bytes) -> bool:
    whole = a.size // 8 * 8
    return bool(
        np.array_equal(a[:whole].view("u8"), b[:whole].view("u8")) and np.array_equal(a[whole:], b[whole:])
    )
