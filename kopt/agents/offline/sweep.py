"""C++ pieces for walking a contiguous loop by registers, shared by every fused schedule."""

from __future__ import annotations

from collections.abc import Iterable

SWEEP = """
// How a loop body touches memory: `Whole` for full registers, `Part` for the n < W elements at the end of a loop.
struct Whole {
  template <class T> vec operator()(const T* p) const { return load(p); }
  template <class T> vec strided(const T* p, int64_t step) const {
    vec v; for (int64_t i = 0; i < W; ++i) v[i] = get(p + i * step); return v;
  }
  template <class T, class I> vec picked(const T* p, int64_t step, const I* index, int64_t stride) const {
    vec v; for (int64_t i = 0; i < W; ++i) v[i] = get(p + i * step + (index[i] > 0 ? index[i] : 0) * stride);
    return v;
  }
  template <class T> mask ints(const T* p) const { return load_ints(p); }
  template <class T> void put(T* p, vec v) const { if (NT) stream(p, v); else store(p, v); }
  template <class T> void scatter(T* p, int64_t step, vec v) const {
    for (int64_t i = 0; i < W; ++i) set(p + i * step, v[i]);
  }
  vec only(vec v, real) const { return v; }
};
struct Part {
  int64_t n;
  template <class T> vec operator()(const T* p) const { return load_part(p, n); }
  template <class T> vec strided(const T* p, int64_t step) const {
    vec v{}; for (int64_t i = 0; i < n; ++i) v[i] = get(p + i * step); return v;
  }
  template <class T, class I> vec picked(const T* p, int64_t step, const I* index, int64_t stride) const {
    vec v{}; for (int64_t i = 0; i < n; ++i) v[i] = get(p + i * step + (index[i] > 0 ? index[i] : 0) * stride);
    return v;
  }
  template <class T> mask ints(const T* p) const { return load_ints_part(p, n); }
  template <class T> void put(T* p, vec v) const { store_part(p, v, n); }
  template <class T> void scatter(T* p, int64_t step, vec v) const {
    for (int64_t i = 0; i < n; ++i) set(p + i * step, v[i]);
  }
  vec only(vec v, real fill) const { return first_lanes(v, n, fill); }
};
// body(k, u, at) for each register of [begin, end): k is its first element, u = 0 .. UNROLL-1 lets every register
// of a round own an accumulator, so that the latency of one addition does not bound the loop.
template <class F> static inline __attribute__((always_inline)) void sweep(int64_t begin, int64_t end, F body) {
  int64_t k = begin;
  for (; k + UNROLL * W <= end; k += UNROLL * W) {
#pragma GCC unroll 16
    for (int u = 0; u < UNROLL; ++u) body(k + u * W, u, Whole{});
  }
  for (; k + W <= end; k += W) body(k, 0, Whole{});
  if (k < end) body(k, 0, Part{end - k});
}
"""

_METHODS = {
    "strided": "strided(",
    "picked": "picked(",
    "ints": "mask ints(",
    "put": "void put(",
    "scatter": "scatter(",
}


def sweep_text(used: Iterable[str]) -> str:
    """The sweep with only the memory operations a kernel uses: the names in ``_METHODS``."""
    wanted = set(used)
    lines, keep, depth = [], True, 0
    for line in SWEEP.strip("\n").splitlines():
        starts = line.startswith("  template") or line.startswith("  vec only")
        if starts and depth == 0:
            name = next(
                (m for m, mark in _METHODS.items() if mark in line), "only" if "vec only" in line else ""
            )
            keep = not name or name in wanted
            depth = line.count("{") - line.count("}")
            if keep:
                lines.append(line)
            if depth == 0:
                keep = True
            continue
        if depth:
            depth += line.count("{") - line.count("}")
            if keep:
                lines.append(line)
            if depth == 0:
                keep = True
            continue
        lines.append(line)
    return "\n".join(lines) + "\n"


SET = """
template <class T> static inline void set(T* p, real r) { T whole[W]; store(whole, splat(r)); *p = whole[0]; }
"""
