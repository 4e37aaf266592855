"""What a multiprocessor of each architecture has, and how much of it one block of threads may take.

The limits are those of "Technical Specifications per Compute Capability" in NVIDIA's CUDA programming guide; the
rounding (registers in units of 256 for a warp, in each of four partitions; shared memory in units of 128 bytes with
1 KiB a block kept by the system since 8.0) that of its ``cuda_occupancy.h``, against which a test holds it.
"""

from __future__ import annotations

from dataclasses import dataclass

WARP = 32
REGISTERS, PARTITIONS = 65536, 4
TENSOR_MEMORY = 512
"""Columns of tensor memory, where there is any."""


@dataclass(frozen=True)
class Limits:
    """A multiprocessor's: warps, blocks, bytes of shared memory; those kept from every block; their unit.

    ``count`` is how many of them the best known device of the architecture has.
    """

    warps: int
    blocks: int
    shared: int
    count: int
    reserved: int = 1024
    unit: int = 128

    @property
    def block_shared(self) -> int:
        """Bytes of shared memory a block may ask for."""
        return self.shared - self.reserved


LIMITS = {
    75: Limits(32, 16, 64 << 10, 40, 0, 256),
    80: Limits(64, 32, 164 << 10, 108),
    86: Limits(48, 16, 100 << 10, 84),
    87: Limits(48, 16, 164 << 10, 16),
    89: Limits(48, 24, 100 << 10, 142),
    90: Limits(64, 32, 228 << 10, 132),
    100: Limits(64, 32, 228 << 10, 148),
    120: Limits(48, 24, 100 << 10, 170),
}


def number(target: str) -> int:
    """The architecture's number: 90 of ``sm_90a``."""
    return int(target.removeprefix("sm_").rstrip("af"))


def warps_with(registers: int) -> int:
    """How many warps can be resident when each thread has so many registers, a positive number."""
    each = -(-registers * WARP // 256) * 256
    return REGISTERS // PARTITIONS // each * PARTITIONS
