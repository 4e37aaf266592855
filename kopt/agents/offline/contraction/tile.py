"""The micro-kernel: a tile of MR x (NV registers) results kept in registers while k runs.

After BLIS (Van Zee and van de Geijn): with 32 registers, 12 x 2 results, 2 registers of B and a broadcast of A
saturate both multiply-add units, and every loaded element is used 12 or 32 times. Each call sums its own stretch of k
from zero and adds the total to memory: rounding errors grow with the stretch, not with the whole k.
"""

from __future__ import annotations

from kopt.words import Tunable

INCLUDES = ("<algorithm>", "<cstdlib>", "<memory>")
MEANINGS = {
    "MR": "rows of a register tile",
    "NV": "registers per row of a register tile",
    "KC": "stretch of k per pass: panels of that depth stay in the nearest caches",
}


def tunables(rows: int, depth: int) -> tuple[Tunable, ...]:
    """Register tile and depth. ``rows`` is preferred; 8 x 3 and 6 x 4 registers are the classical alternatives."""
    return (
        Tunable(name="MR", choices=tuple(sorted({rows, 6, 8, 12, 13, 14})), default=rows),
        Tunable(name="NV", choices=(2, 3, 4), default=2),
        Tunable(name="KC", choices=tuple(sorted({depth, 128, 192, 256, 384})), default=depth),
    )


def balanced_rows(count: int) -> int:
    """The tile height, at most 14, that wastes least of ``count`` rows; 12 where nearly equal."""
    if count <= 14:
        return max(count, 1)
    return min((12, 13, 14, 11, 10, 8), key=lambda rows: -(-count // rows) * rows * _SLOWNESS[rows])


_SLOWNESS = {14: 1.01, 13: 1.0, 12: 1.0, 11: 1.01, 10: 1.02, 8: 1.05}


SCRATCH = """
// Scratch memory that each thread keeps between calls; its contents are written anew by every call.
template <int Which> static real* scratch(size_t count) {
  static thread_local std::unique_ptr<real, decltype(&std::free)> held(nullptr, &std::free);
  static thread_local size_t size = 0;
  if (size < count) {
    held.reset(static_cast<real*>(std::aligned_alloc(4096, (count * sizeof(real) + 4095) / 4096 * 4096)));
    size = count;
  }
  return held.get();
}
"""

MULTIPLY = """
constexpr int64_t NR = NV * W;

// c[MR][NR] (+)= sum over k of a(i, k) * b(k)[NR], where b(k) points at NR contiguous reals.
template <class Element, class Row>
static inline void multiply(int64_t depth, Element a, Row b, real* __restrict c, int64_t pitch, bool add) {
  vec sum[MR][NV] = {};
#pragma GCC unroll 4
  for (int64_t k = 0; k < depth; ++k) {
    vec row[NV];
#pragma GCC unroll 8
    for (int64_t j = 0; j < NV; ++j) row[j] = load(b(k) + j * W);
#pragma GCC unroll 32
    for (int64_t i = 0; i < MR; ++i)
#pragma GCC unroll 8
      for (int64_t j = 0; j < NV; ++j) sum[i][j] += a(i, k) * row[j];
  }
#pragma GCC unroll 32
  for (int64_t i = 0; i < MR; ++i)
#pragma GCC unroll 8
    for (int64_t j = 0; j < NV; ++j) {
      real* const at = c + i * pitch + j * W;
      store(at, add ? load(at) + sum[i][j] : sum[i][j]);
    }
}

// Reads a panel packed as [k][MR].
static inline auto panel(const real* p) {
  return [p](int64_t i, int64_t k) { return p[k * MR + i]; };
}
"""

PACK = """
// Panels of WIDE: to[panel][k][WIDE] = from[i * along + k * deep] for i < count, k < depth; missing i become 0.
template <int64_t WIDE, class T>
static inline void pack(const T* from, int64_t along, int64_t deep, int64_t count, int64_t depth, real* to) {
  for (int64_t first = 0; first < count; first += WIDE, to += WIDE * depth) {
    const T* const s = from + first * along;
    const int64_t held = std::min(WIDE, count - first);
    if (held == WIDE && along == 1) {  // neighbours are adjacent: copy rows
      for (int64_t k = 0; k < depth; ++k)
        for (int64_t i = 0; i < WIDE; ++i) to[k * WIDE + i] = get(s + k * deep + i);
    } else if (held == WIDE && deep == 1) {  // k is adjacent: transpose in strips of 8
      const int64_t strips = depth / 8 * 8;
      for (int64_t k = 0; k < strips; k += 8)
        for (int64_t i = 0; i < WIDE; ++i)
#pragma GCC unroll 8
          for (int64_t q = 0; q < 8; ++q) to[(k + q) * WIDE + i] = get(s + i * along + k + q);
      for (int64_t k = strips; k < depth; ++k)
        for (int64_t i = 0; i < WIDE; ++i) to[k * WIDE + i] = get(s + i * along + k);
    } else {
      for (int64_t k = 0; k < depth; ++k)
        for (int64_t i = 0; i < WIDE; ++i) to[k * WIDE + i] = i < held ? get(s + i * along + k * deep) : 0;
    }
  }
}
"""
