"""The functions kernels inline: accuracy against float64, and behaviour at the edges of the format."""

from __future__ import annotations

import ctypes
import platform
import re
import subprocess
from typing import NamedTuple

import numpy as np
import pytest
import torch

from kopt.agents.offline import width
from kopt.agents.offline.prelude import prelude
from kopt.sandbox.devices import cpu_facts

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


HEADERS = "#include <cmath>\n#include <cstdint>\n#include <cstring>\n#include <immintrin.h>\n"
COPIED = {
    "float16": "half",
    "bfloat16": "bf16",
    "int32": "int32_t",
    "int16": "int16_t",
    "int8": "int8_t",
    "uint8": "uint8_t",
}
DOUBLE = ("sqrt", "floor", "round", "abs", "sign", "exp")


def _everything() -> str:
    """Every function over an array of floats, some over doubles, and storage types there and back."""
    text = HEADERS + "namespace f {\n"
    text += prelude([*FUNCTIONS, "partial", "stream", "sum_lanes", "wide", "max_lanes"], ["float32", *COPIED])
    for name in FUNCTIONS:
        text += f'extern "C" void {name}_all(const float* x, float* y, long n) '
        text += f"{{ for (long i = 0; i < n; i += W) store(y + i, v_{name}(load(x + i))); }}\n"
    for name, kind in COPIED.items():
        text += f'extern "C" void {name}_copy(const {kind}* x, {kind}* y, long n) '
        text += "{ for (long i = 0; i < n; i += W) store(y + i, load(x + i)); }\n"
    text += """
extern "C" long width() { return REGISTER; }
extern "C" void stream_all(const float* x, float* y, long n) {
  for (long i = 0; i < n; i += W) stream(y + i, load(x + i));
  streams_done();
}
extern "C" void part(const float* x, float* y, long n) { store(y, first_lanes(load(x), n, 7)); }
extern "C" void end(const float* x, float* y, long n) { store_part(y, load_part(x, n), n); }
extern "C" double sum(const float* x) { return sum_lanes(wide{} + load(x)); }
extern "C" float largest(const float* x) { return max_lanes(load(x)); }
}
namespace d {
"""
    text += prelude([*DOUBLE, "stream"], ["float64"], "double")
    for name in DOUBLE:
        text += f'extern "C" void {name}_double(const double* x, double* y, long n) '
        text += f"{{ for (long i = 0; i < n; i += W) stream(y + i, v_{name}(load(x + i))); }}\n"
    return text + "}\n"


class Built(NamedTuple):
    """What a width's functions were compiled to."""

    library: ctypes.CDLL
    assembly: str
    width: int

    def map(self, function: str, x: np.ndarray) -> np.ndarray:
        y = np.empty_like(x)
        sizes = x.ctypes.data_as(ctypes.c_void_p), y.ctypes.data_as(ctypes.c_void_p), ctypes.c_long(len(x))
        getattr(self.library, function)(*sizes)
        return y


@pytest.fixture(scope="module", params=[16, 32, 64])
def built(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Built:
    folder = tmp_path_factory.mktemp("prelude")
    source, assembly, target = folder / "p.cpp", folder / "p.s", folder / "p.so"
    source.write_text(_everything())
    flags = ["-O3", "-march=native", "-std=c++20", "-fPIC", f"-DWIDTH={request.param}"]
    subprocess.run(["g++", *flags, "-S", source, "-o", assembly], check=True)
    subprocess.run(["g++", "-shared", assembly, "-o", target], check=True)
    return Built(ctypes.CDLL(str(target)), assembly.read_text(), request.param)


def test_no_register_is_wider_than_asked_for_or_than_the_machine_has(built: Built) -> None:
    isa = cpu_facts()["isa"]
    full = 64 if "avx512f" in isa else 32 if "avx" in isa else 16
    assert built.library.width() == min(built.width, full)
    assert ("%zmm" in built.assembly) == (built.library.width() == 64)
    assert [t.choices for t in width.tunables()] == ([(32, 64)] if full == 64 else [])


@pytest.mark.skipif(platform.machine() != "x86_64", reason="which instructions is a question of the machine")
def test_no_width_falls_back_to_single_elements(built: Built) -> None:
    if not {"avx", "f16c"} <= set(cpu_facts()["isa"]):
        pytest.skip("this machine lacks AVX or F16C: single elements are all it has for some operations")
    called = set(re.findall(r"call\s+(\w+)", built.assembly)) - {"memcpy", "memset"}
    assert called == {"exp"}, "double's exponential alone is left to libm"
    single = r"\bv?(?:sqrts[sd]|rounds[sd]|rndscales[sd]|cvts[sd]2\w+|cvtts[sd]2\w+|cvtu?si2s\w+)\b"
    assert not re.findall(single, built.assembly)


@pytest.mark.parametrize("name", COPIED)
def test_storage_types_come_back_as_they_were(name: str, built: Built) -> None:
    x = np.arange(1 << 16).astype(np.uint16)
    if name.endswith("float16"):  # all but those that are not finite
        x = np.where((x & 0x7FFF) < (0x7C00 if name == "float16" else 0x7F80), x, 0).astype(np.uint16)
    else:
        x = np.arange(-(1 << 15), 1 << 15).astype(name)
    assert np.array_equal(built.map(f"{name}_copy", x), x)


@pytest.mark.parametrize("name", DOUBLE)
def test_doubles_too(name: str, built: Built) -> None:
    x = np.concatenate([np.array(SPECIAL[:-3]), [0.5, 1.5, 2.5, -2.5], np.linspace(-700, 700, 1008)])
    x = np.ascontiguousarray(x[: len(x) // 8 * 8])
    truth = getattr(torch, name)(torch.from_numpy(x)).numpy()
    np.testing.assert_allclose(built.map(f"{name}_double", x), truth, rtol=4e-16, atol=0)


def test_the_rest_works_on_whole_registers_of_any_width(built: Built) -> None:
    lanes = built.library.width() // 4
    x = np.random.default_rng(1).standard_normal(64).astype(np.float32)
    assert np.array_equal(built.map("stream_all", x), x)
    built.library.sum.restype, built.library.largest.restype = ctypes.c_double, ctypes.c_float
    at = x.ctypes.data_as(ctypes.c_void_p)
    assert built.library.sum(at) == pytest.approx(x[:lanes].astype(np.float64).sum(), rel=1e-14)
    assert built.library.largest(at) == x[:lanes].max()
    for count in range(lanes + 1):
        y = np.zeros(lanes, np.float32)
        built.library.part(at, y.ctypes.data_as(ctypes.c_void_p), ctypes.c_long(count))
        assert np.array_equal(y, np.where(np.arange(lanes) < count, x[:lanes], np.float32(7)))
        built.library.end(at, y.ctypes.data_as(ctypes.c_void_p), ctypes.c_long(count // 2))
        kept = np.where(np.arange(lanes) < count, x[:lanes], np.float32(7))
        assert np.array_equal(y, np.where(np.arange(lanes) < count // 2, x[:lanes], kept))


@pytest.mark.parametrize("name", FUNCTIONS)
def test_within_three_units_of_the_truth(name: str, built: Built) -> None:
    draw = np.random.default_rng(0)
    parts = [
        SPECIAL,
        draw.standard_normal(60000) * 3,
        draw.uniform(-87, 88, 60000),
        np.exp(draw.uniform(-80, 80, 60000)),
    ]
    x = np.concatenate([np.asarray(p, np.float32) for p in parts])
    x = np.ascontiguousarray(x[: len(x) // 16 * 16])
    y = built.map(f"{name}_all", x)
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
