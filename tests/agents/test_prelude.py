"""The functions kernels inline: accuracy against float64, and behaviour at the edges of the format."""

from __future__ import annotations

import ctypes
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch

from kopt.agents.offline.prelude import prelude

FUNCTIONS = (
    "exp",
    "expm1",
    "log",
    "log1p",
    "tanh",
    "erf",
    "sigmoid",
    "sqrt",
    "floor",
    "round",
    "abs",
    "sign",
)
SPECIAL = [
    0,
    -0.0,
    np.inf,
    -np.inf,
    np.nan,
    1e-40,
    -1e-40,
    88.7,
    88.73,
    -87.4,
    -103.9,
    -110,
    3.4e38,
    -3.4e38,
    0.5,
]


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    folder = tmp_path_factory.mktemp("prelude")
    text = "#include <cmath>\n#include <cstdint>\n#include <cstring>\n#include <immintrin.h>\n"
    text += prelude(FUNCTIONS, ["float32"])
    for name in FUNCTIONS:
        text += f'extern "C" void {name}_all(const float* x, float* y, long n) '
        text += f"{{ for (long i = 0; i < n; i += W) store(y + i, v_{name}(load(x + i))); }}\n"
    source = folder / "p.cpp"
    source.write_text(text)
    target = folder / "p.so"
    subprocess.run(
        ["g++", "-O3", "-march=native", "-std=c++20", "-shared", "-fPIC", str(source), "-o", str(target)],
        check=True,
    )
    return ctypes.CDLL(str(Path(target)))


@pytest.mark.parametrize("name", FUNCTIONS)
def test_within_three_units_of_the_truth(name: str, library: ctypes.CDLL) -> None:
    draw = np.random.default_rng(0)
    parts = [
        SPECIAL,
        draw.standard_normal(60000) * 3,
        draw.uniform(-87, 88, 60000),
        np.exp(draw.uniform(-80, 80, 60000)),
    ]
    x = np.concatenate([np.asarray(p, np.float32) for p in parts])
    x = np.ascontiguousarray(x[: len(x) // 16 * 16])
    y = np.empty_like(x)
    getattr(library, f"{name}_all")(
        x.ctypes.data_as(ctypes.c_void_p), y.ctypes.data_as(ctypes.c_void_p), ctypes.c_long(len(x))
    )
    truth = getattr(torch, name)(torch.from_numpy(x).double()).numpy()
    with np.errstate(over="ignore", invalid="ignore"):
        rounded = truth.astype(np.float32)
        finite = np.isfinite(rounded)
        unit = np.spacing(np.maximum(np.abs(rounded[finite]), np.finfo(np.float32).tiny))
        if name == "sigmoid":
            finite &= np.abs(rounded) > 1e-37  # below, 1 + e^-x has overflowed, in torch as well
            unit = np.spacing(np.abs(rounded[finite]))
        error = np.abs(y[finite].astype(np.float64) - truth[finite]) / unit
    assert error.max() <= 3
    settled = ~np.isfinite(rounded)
    assert np.array_equal(np.isnan(y), np.isnan(rounded))
    assert np.array_equal(y[settled & ~np.isnan(rounded)], rounded[settled & ~np.isnan(rounded)])
