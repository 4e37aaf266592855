"""Where tensors lie in shared memory: the ring of slots a runner works on, and the state it reads.

A ring is one memory file. Slot ``i`` begins at ``i * stride``; every tensor begins on a page of its slot. The
judge holds numpy views on the same bytes. Nothing here runs anything.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from kopt.verifiers.dtypes import KINDS, Array, itemsize, truth_dtype
from kopt.words import TensorSpec

PAGE = 4096
Bytes = npt.NDArray[np.uint8]


def extent(shape: Sequence[int], strides: Sequence[int]) -> int:
    """Elements from the first to the last that a strided tensor touches."""
    if any(size == 0 for size in shape):
        return 0
    return 1 + sum((size - 1) * step for size, step in zip(shape, strides, strict=True))


@dataclass(frozen=True)
class Place:
    """One tensor of a slot: its spec, role, and byte range inside the slot."""

    spec: TensorSpec
    role: str
    offset: int
    nbytes: int

    @property
    def behind(self) -> int:
        """Bytes between its end and the next tensor's beginning: never none, so that every end has a fence."""
        return PAGE - self.nbytes % PAGE

    @property
    def dense(self) -> bool:
        """Whether its elements fill its bytes exactly, in whatever order of axes."""
        step = 1
        for stride, size in sorted(zip(self.spec.strides, self.spec.shape, strict=True)):
            if size > 1 and stride != step:
                return not self.nbytes
            step *= size
        return True

    def flat(self, slot: Bytes) -> Array:
        """The stored elements of one slot: in memory order when dense, else in logical order (a copy)."""
        raw = slot[self.offset : self.offset + self.nbytes]
        if self.dense:
            return raw.view(KINDS[self.spec.dtype].storage)
        return np.ascontiguousarray(self.view(raw)).reshape(-1)

    def view(self, raw: Bytes) -> Array:
        """The stored elements in the tensor's own axes, a view of its bytes."""
        stored = raw.view(KINDS[self.spec.dtype].storage)
        steps = [stride * stored.itemsize for stride in self.spec.strides]
        return np.lib.stride_tricks.as_strided(stored, self.spec.shape, steps)

    def index(self, position: int) -> tuple[int, ...]:
        """The logical index of an element of :meth:`flat`."""
        shape = self.spec.shape
        if not self.dense:
            return tuple(int(i) for i in np.unravel_index(position, shape)) if shape else ()
        index = [0] * len(shape)
        for axis in sorted(range(len(shape)), key=lambda a: (-self.spec.strides[a], shape[a] == 1, a)):
            if shape[axis] > 1:
                index[axis], position = divmod(position, self.spec.strides[axis])
        return tuple(index)


@dataclass(frozen=True)
class Layout:
    """A ring of ``slots`` equal slots."""

    slots: int
    stride: int
    places: tuple[Place, ...]

    @classmethod
    def of(cls, groups: Sequence[tuple[str, Sequence[TensorSpec]]], slots: int) -> Layout:
        """Lay out ``(role, tensors)`` groups, each tensor on its own pages."""
        places = []
        offset = 0
        for role, tensors in groups:
            for spec in tensors:
                nbytes = extent(spec.shape, spec.strides) * itemsize(spec.dtype)
                places.append(Place(spec, role, offset, nbytes))
                offset += nbytes + places[-1].behind
        return cls(slots, max(offset, PAGE), tuple(places))

    @property
    def size(self) -> int:
        """Bytes of the whole ring."""
        return self.slots * self.stride

    def role(self, role: str) -> tuple[Place, ...]:
        """The tensors of one role, in call order."""
        return tuple(p for p in self.places if p.role == role)

    def slot(self, ring: Bytes, index: int) -> Bytes:
        """The bytes of one slot."""
        return ring[index * self.stride : (index + 1) * self.stride]

    def to_json(self) -> dict[str, Any]:
        """What a runner is told."""
        return {
            "slots": self.slots,
            "stride": self.stride,
            "tensors": [
                {
                    "role": p.role,
                    "name": p.spec.name,
                    "offset": p.offset,
                    "dtype": p.spec.dtype,
                    "shape": list(p.spec.shape),
                    "strides": list(p.spec.strides),
                }
                for p in self.places
            ],
        }


def truth_specs(outputs: Sequence[TensorSpec]) -> tuple[TensorSpec, ...]:
    """The outputs as the truth ring holds them: floats in float64, same shape and strides."""
    return tuple(
        TensorSpec(name=o.name, shape=o.shape, dtype=truth_dtype(o.dtype), strides=o.strides) for o in outputs
    )
