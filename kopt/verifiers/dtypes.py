"""How the judge reads torch's element types with numpy; it never imports torch.

``bfloat16`` has no numpy type; it is read as ``uint16`` and widened to ``float32`` exactly.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.generic]


@dataclass(frozen=True)
class Kind:
    """One element type: numpy storage, what it is, and the unit roundoff where it is floating point.

    ``lost``: results as small may be zero. The smallest normal number; 128 times that in float32's range and beyond,
    which exponentials and reciprocals leave earlier: ``x / (1 + exp(-x))`` is zero from ``-87`` on, and 90 times it.
    """

    storage: str
    floating: bool
    roundoff: float = 0.0
    lost: float = 0.0


KINDS = {
    "float64": Kind("f8", True, 2.0**-53, 2.0**-1015),
    "float32": Kind("f4", True, 2.0**-24, 2.0**-119),
    "float16": Kind("f2", True, 2.0**-11, 2.0**-14),
    "bfloat16": Kind("u2", True, 2.0**-8, 2.0**-119),
    "int64": Kind("i8", False),
    "int32": Kind("i4", False),
    "int16": Kind("i2", False),
    "int8": Kind("i1", False),
    "uint8": Kind("u1", False),
    "uint16": Kind("u2", False),
    "uint32": Kind("u4", False),
    "uint64": Kind("u8", False),
    "bool": Kind("u1", False),
}


def itemsize(dtype: str) -> int:
    """Bytes per element.

    Raises:
        KeyError: the judge cannot compare elements of this type.
    """
    return np.dtype(KINDS[dtype].storage).itemsize


def truth_dtype(dtype: str) -> str:
    """What the truth of an output of this type is kept in: float64, or the type itself when discrete."""
    return "float64" if KINDS[dtype].floating else dtype


def widen(values: Array, dtype: str) -> Array:
    """Stored elements as numbers: float32 for the narrow floats, everything else unchanged."""
    if dtype == "bfloat16":
        return (values.astype(np.uint32) << 16).view(np.float32)
    return values.astype(np.float32) if dtype == "float16" else values
