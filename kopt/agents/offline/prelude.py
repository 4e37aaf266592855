"""The C++ every generated kernel may inline: SIMD registers, loads and stores, elementary functions.

Only the pieces a kernel uses are written into its file. The functions are branch-free over whole registers
(GCC vector extensions, intrinsics where a single instruction does the job), accurate to 1-2 ulp in float32, and
behave at NaN, infinities, overflow and denormals as libm does. They need no ``-ffast-math``, which would let the
compiler assume that NaN and infinities do not occur.

Sources: argument reductions and polynomials after Cephes (Moshier) and N. Juffa's erff.
"""

from __future__ import annotations

from collections.abc import Iterable

C_TYPES = {
    "float32": "float",
    "float64": "double",
    "float16": "half",
    "bfloat16": "bf16",
    "int64": "int64_t",
    "int32": "int32_t",
    "int16": "int16_t",
    "int8": "int8_t",
    "uint8": "uint8_t",
    "bool": "uint8_t",
}
"""Storage type of each dtype."""

_CORE = """
// A SIMD register, of WIDTH bytes or as many as the machine this is compiled for has; SIMD(sqrt_ps) is the intrinsic of
// that width.
#if defined(__AVX512F__) && (!defined(WIDTH) || WIDTH >= 64)
#define REGISTER 64
#define SIMD(name) _mm512_##name
#elif defined(__AVX__) && (!defined(WIDTH) || WIDTH >= 32)
#define REGISTER 32
#define SIMD(name) _mm256_##name
#else
#define REGISTER 16
#define SIMD(name) _mm_##name
#endif
using real = @real@;
// A register of reals, and its integer twin (comparisons yield it: 0 or -1).
typedef real vec __attribute__((vector_size(REGISTER)));
typedef @int@ mask __attribute__((vector_size(REGISTER)));
constexpr int64_t W = REGISTER / sizeof(real);

static inline vec splat(real c) { return c - vec{}; }

static inline vec load(const real* p) { vec v; memcpy(&v, p, sizeof v); return v; }
static inline void store(real* p, vec v) { memcpy(p, &v, sizeof v); }
"""

_SMALL = """
// W integers of one or two bytes as integers of a real's size, and the lowest bits of such. By intrinsics: compilers
// convert vectors whose elements differ so much one by one.
template <class T> static inline mask widened(const T* p) {
#if REGISTER == 64 || (REGISTER == 32 && defined(__AVX2__)) || (REGISTER == 16 && defined(__SSE4_1__))
  constexpr bool has_sign = T(-1) < T(0);
  if constexpr (sizeof(T) == 1) {
    __m128i r{}; memcpy(&r, p, W);
    return (mask)(has_sign ? SIMD(cvtepi8_@epi@)(r) : SIMD(cvtepu8_@epi@)(r));
  } else {
#if REGISTER == 64
    @shorts@ r{};
#else
    __m128i r{};
#endif
    memcpy(&r, p, 2 * W);
    return (mask)(has_sign ? SIMD(cvtepi16_@epi@)(r) : SIMD(cvtepu16_@epi@)(r));
  }
#else
  typedef T narrow __attribute__((vector_size(W * sizeof(T))));
  narrow v; memcpy(&v, p, sizeof v); return __builtin_convertvector(v, mask);
#endif
}
template <class T> static inline void store_lowest(T* p, mask m) {
#if REGISTER == 64 || defined(__AVX512VL__)
  typedef long long whole __attribute__((vector_size(REGISTER)));
  if constexpr (sizeof(T) == 1) { const auto r = SIMD(cvt@epi@_epi8)((whole)m); memcpy(p, &r, W); }
  else { const auto r = SIMD(cvt@epi@_epi16)((whole)m); memcpy(p, &r, 2 * W); }
#else
  typedef T narrow __attribute__((vector_size(W * sizeof(T))));
  const narrow n = __builtin_convertvector(m, narrow); memcpy(p, &n, sizeof n);
#endif
}
"""

_NARROW = """
template <class T> static inline vec load(const T* p) {  // integers and truth values become reals
  if constexpr (sizeof(T) <= 2) return __builtin_convertvector(widened(p), vec);
  else {
    typedef T narrow __attribute__((vector_size(W * sizeof(T))));
    narrow v; memcpy(&v, p, sizeof v);
    return __builtin_convertvector(v, vec);
  }
}
template <class T> static inline void store(T* p, vec v) {
  if constexpr (sizeof(T) <= 2) store_lowest(p, __builtin_convertvector(v, mask));
  else {
    typedef T narrow __attribute__((vector_size(W * sizeof(T))));
    const narrow n = __builtin_convertvector(v, narrow);
    memcpy(p, &n, sizeof n);
  }
}
"""

_DOUBLES = """
// A register of reals as registers of doubles, in order, and back. By intrinsics: GCC takes four steps for each.
typedef double wide_vec __attribute__((vector_size(REGISTER)));
constexpr int64_t PIECES = sizeof(double) / sizeof(real);
struct doubles { wide_vec part[PIECES]; };
"""
_DOUBLES_OF_FLOATS = """
static inline doubles as_doubles(vec v) {
#if REGISTER == 64
  const __m512d bits = (__m512d)v;
  return {_mm512_cvtps_pd((__m256)_mm512_castpd512_pd256(bits)),
          _mm512_cvtps_pd((__m256)_mm512_extractf64x4_pd(bits, 1))};
#elif REGISTER == 32
  return {_mm256_cvtps_pd(_mm256_castps256_ps128(v)), _mm256_cvtps_pd(_mm256_extractf128_ps(v, 1))};
#elif defined(__SSE2__)
  return {_mm_cvtps_pd(v), _mm_cvtps_pd(_mm_movehl_ps(v, v))};
#else
  doubles d;
  for (int i = 0; i < W; ++i) d.part[2 * i / W][i % (W / 2)] = v[i];
  return d;
#endif
}
static inline vec as_reals(doubles d) {
#if REGISTER == 64
  const __m512d low = _mm512_castpd256_pd512((__m256d)_mm512_cvtpd_ps(d.part[0]));
  return (vec)_mm512_insertf64x4(low, (__m256d)_mm512_cvtpd_ps(d.part[1]), 1);
#elif REGISTER == 32
  const __m256 low = _mm256_castps128_ps256(_mm256_cvtpd_ps(d.part[0]));
  return _mm256_insertf128_ps(low, _mm256_cvtpd_ps(d.part[1]), 1);
#elif defined(__SSE2__)
  return _mm_movelh_ps(_mm_cvtpd_ps(d.part[0]), _mm_cvtpd_ps(d.part[1]));
#else
  vec v;
  for (int i = 0; i < W; ++i) v[i] = d.part[2 * i / W][i % (W / 2)];
  return v;
#endif
}
"""
_DOUBLES_OF_DOUBLES = """
static inline doubles as_doubles(vec v) { return {v}; }
static inline vec as_reals(doubles d) { return d.part[0]; }
"""

_BF16 = """
struct bf16 { uint16_t bits; };  // the upper half of a float32
static inline vec load(const bf16* p) { return (vec)(widened(&p->bits) << 16); }
static inline void store(bf16* p, vec v) {  // round to nearest, ties to even; NaN stays NaN
  typedef uint32_t words __attribute__((vector_size(W * 4)));
  const words u = (words)v;
  const words rounded = (u + 0x7fffu + ((u >> 16) & 1u)) >> 16;
  const words kept = v != v ? (u >> 16) | 0x40u : rounded;
  store_lowest(&p->bits, (mask)kept);
}
static inline real get(const bf16* p) {
  const uint32_t word = uint32_t(p->bits) << 16;
  real r; memcpy(&r, &word, sizeof r); return r;
}
"""

_F16 = """
using half = _Float16;
#if REGISTER == 64
static inline vec load(const half* p) { return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i*)p)); }
static inline void store(half* p, vec v) { _mm256_storeu_si256((__m256i*)p, _mm512_cvtps_ph(v, 0)); }
#elif REGISTER == 32 && defined(__F16C__)
static inline vec load(const half* p) { return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i*)p)); }
static inline void store(half* p, vec v) { _mm_storeu_si128((__m128i*)p, _mm256_cvtps_ph(v, 0)); }
#elif defined(__F16C__)
static inline vec load(const half* p) { return _mm_cvtph_ps(_mm_loadl_epi64((const __m128i*)p)); }
static inline void store(half* p, vec v) { _mm_storel_epi64((__m128i*)p, _mm_cvtps_ph(v, 0)); }
#else
static inline vec load(const half* p) { vec v; for (int i = 0; i < W; ++i) v[i] = p[i]; return v; }
static inline void store(half* p, vec v) { for (int i = 0; i < W; ++i) p[i] = half(v[i]); }
#endif
"""

_PIECES: dict[str, tuple[tuple[str, ...], str]] = {
    "core": ((), _CORE),
    "small": ((), _SMALL),
    "narrow": (("small",), _NARROW),
    "bfloat16": (("small",), _BF16),
    "float16": ((), _F16),
    "partial": (
        (),
        """
// The n < W elements at the end of a row: the same arithmetic on a register padded with `fill`.
template <class T> static inline vec load_part(const T* p, int64_t n) {
  T padded[W]; memset(padded, 0, sizeof padded); memcpy(padded, p, n * sizeof(T)); return load(padded);
}
template <class T> static inline void store_part(T* p, vec v, int64_t n) {
  T padded[W]; store(padded, v); memcpy(p, padded, n * sizeof(T));
}
#if REGISTER == 64 || defined(__AVX512VL__)
// By mask: a register that is read back from two stores waits until all stores before them are done.
static inline vec load_part(const real* p, int64_t n) { return SIMD(maskz_loadu_@ps@)((1u << n) - 1, p); }
static inline void store_part(real* p, vec v, int64_t n) { SIMD(mask_storeu_@ps@)(p, (1u << n) - 1, v); }
#endif
static inline vec first_lanes(vec v, int64_t n, real fill) {
  mask lane;
  for (int i = 0; i < W; ++i) lane[i] = i;
  return lane < @int@(n) ? v : splat(fill);
}
""",
    ),
    "get": ((), "\ntemplate <class T> static inline real get(const T* p) { return real(*p); }\n"),
    "ints": (
        ("small",),
        """
// W integers of at most 32 bits as they are, for their bits; and as numbers.
template <class T> static inline mask load_ints(const T* p) {
  if constexpr (sizeof(T) <= 2) return widened(p);
  else { mask v; memcpy(&v, p, sizeof v); return v; }
}
template <class T> static inline mask load_ints_part(const T* p, int64_t n) {
  T padded[W]; memset(padded, 0, sizeof padded); memcpy(padded, p, n * sizeof(T)); return load_ints(padded);
}
static inline mask splat_ints(int32_t c) { return mask{} + c; }
static inline mask counted(int64_t first, int64_t step) {
  mask v; for (int i = 0; i < W; ++i) v[i] = first + i * step; return v;
}
static inline vec number(mask v) { return __builtin_convertvector(v, vec); }
static inline real number(int32_t v) { return real(v); }
""",
    ),
    "put": (
        (),
        "\ntemplate <class T> static inline void put(T* p, real r) "
        "{ T padded[W]; store(padded, splat(r)); *p = padded[0]; }\n",
    ),
    "stream": (
        (),
        """
// Stores that bypass the caches: the line is not read from memory first, which saves a third of the traffic of
// an output that nobody reads again. Only whole aligned registers can be streamed.
static inline void stream(real* p, vec v) {
#if defined(__SSE2__)
  if (uintptr_t(p) % REGISTER == 0) { SIMD(stream_@ps@)(p, v); return; }
#endif
  store(p, v);
}
template <class T> static inline void stream(T* p, vec v) { store(p, v); }
static inline void streams_done() {
#if defined(__SSE__)
  __builtin_ia32_sfence();
#endif
}
""",
    ),
    "prefetch": ((), "\nstatic inline void prefetch(const void* p) { __builtin_prefetch(p, 0, 3); }\n"),
    "not": (
        (),
        "\nstatic inline mask v_not(mask m) { return ~m; }\nstatic inline bool v_not(bool m) { return !m; }\n",
    ),
    "sum_lanes": (
        (),
        "\nstatic inline double sum_lanes(vec v) { double s = 0; for (int i = 0; i < W; ++i) s += v[i]; return s; }\n",
    ),
    "wide": (
        ("sum_lanes", "doubles"),
        """
// A sum of float registers kept in double: the mean of nearly equal values must come out nearly exact, or what is
// left after it is subtracted is noise. The loop waits for memory, so the two conversions cost nothing.
struct wide { wide_vec low, high; };
static inline wide operator+(wide a, vec v) {
  const doubles d = as_doubles(v);
  return {a.low + d.part[0], a.high + d.part[1]};
}
static inline wide operator+(wide a, wide b) { return {a.low + b.low, a.high + b.high}; }
static inline double sum_lanes(wide a) {
  double s = 0;
  for (int i = 0; i < W / 2; ++i) s += a.low[i] + a.high[i];
  return s;
}
""",
    ),
    "prod_lanes": (
        (),
        "\nstatic inline double prod_lanes(vec v) { double s = 1; for (int i = 0; i < W; ++i) s *= v[i]; return s; }\n",
    ),
    "max_lanes": (
        ("maximum",),
        "\nstatic inline real max_lanes(vec v) "
        "{ real m = v[0]; for (int i = 1; i < W; ++i) m = v_maximum(m, real(v[i])); return m; }\n",
    ),
    "min_lanes": (
        ("minimum",),
        "\nstatic inline real min_lanes(vec v) "
        "{ real m = v[0]; for (int i = 1; i < W; ++i) m = v_minimum(m, real(v[i])); return m; }\n",
    ),
    "maximum": (
        (),
        """
// A NaN on either side wins, as in torch.
static inline vec v_maximum(vec a, vec b) { return ((a > b) | (a != a)) ? a : b; }
static inline real v_maximum(real a, real b) { return (a > b || a != a) ? a : b; }
""",
    ),
    "minimum": (
        (),
        """
static inline vec v_minimum(vec a, vec b) { return ((a < b) | (a != a)) ? a : b; }
static inline real v_minimum(real a, real b) { return (a < b || a != a) ? a : b; }
""",
    ),
    "abs": (
        (),
        """
static inline vec v_abs(vec x) { return (vec)((mask)x & ~(mask)splat(-0.0)); }
static inline real v_abs(real x) { return std::fabs(x); }
""",
    ),
    "sign": (
        (),
        """
static inline vec v_sign(vec x) { return x > 0 ? splat(1) : (x < 0 ? splat(-1) : x != x ? splat(0) : x * 0); }
static inline real v_sign(real x) { return (x > 0) - (x < 0); }
""",
    ),
}

# Functions without a vector form of their own: libm, lane by lane.
_LANES = {
    "acos": "std::acos", "acosh": "std::acosh", "asin": "std::asin", "asinh": "std::asinh", "atan": "std::atan",
    "atanh": "std::atanh", "cos": "std::cos", "cosh": "std::cosh", "erfc": "std::erfc", "exp2": "std::exp2",
    "lgamma": "std::lgamma", "log10": "std::log10", "log2": "std::log2", "sin": "std::sin", "sinh": "std::sinh",
    "tan": "std::tan",
}  # fmt: skip
_LANES_DOUBLE = {
    "exp": "std::exp", "expm1": "std::expm1", "log": "std::log", "log1p": "std::log1p", "tanh": "std::tanh",
    "erf": "std::erf",
}  # fmt: skip
_LANES2 = {"atan2": "std::atan2", "fmod": "std::fmod", "pow": "std::pow"}
_ROUNDINGS = {"floor": ("std::floor", 9), "ceil": ("std::ceil", 10), "trunc": ("std::trunc", 11),
              "round": ("std::nearbyint", 8)}  # fmt: skip

_FLOAT: dict[str, tuple[tuple[str, ...], str]] = {
    "scale2": (
        (),
        """
static inline vec scale2(vec p, vec n) {  // p * 2^n for whole n, right through overflow and denormals
#if REGISTER == 64 || defined(__AVX512VL__)
  return SIMD(scalef_ps)(p, n);
#else
  const mask k = __builtin_convertvector(n, mask), low = k >> 1, high = k - low;
  return p * (vec)((low + 127) << 23) * (vec)((high + 127) << 23);
#endif
}
""",
    ),
    "exp": (
        ("scale2", "round"),
        """
// e^x = 2^n e^r with n = round(x / ln 2), |r| <= ln(2)/2. ln 2 in two pieces keeps r exact to the last bit.
static inline vec v_exp(vec x) {
  // e^89 overflows and e^-104 underflows already; NaN, for which both comparisons are false, passes through
  x = 89.0f < x ? splat(89.0f) : x;
  x = -104.0f > x ? splat(-104.0f) : x;
  const vec n = v_round(x * 1.44269504f);
  vec r = x - n * 0.693359375f;
  r = r + n * 2.12194440e-4f;
  vec p = 1.9875691500e-4f + vec{};
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  return scale2(p * (r * r) + r + 1.0f, n);
}
""",
    ),
    "expm1": (
        ("scale2", "round"),
        """
// e^x - 1 = 2^n (e^r - 1) + (2^n - 1): nothing cancels near 0.
static inline vec v_expm1(vec x) {
  x = x > 89.0f ? splat(89.0f) : x;
  x = x < -40.0f ? splat(-40.0f) : x;
  const vec n = v_round(x * 1.44269504f);
  vec r = x - n * 0.693359375f;
  r = r + n * 2.12194440e-4f;
  vec p = 1.9875691500e-4f + vec{};
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  const vec half_scale = scale2(splat(0.5f), n);  // halves, so that 2^128 is never formed
  return 2.0f * (half_scale * (p * (r * r) + r) + (half_scale - 0.5f));
}
""",
    ),
    "log": (
        (),
        """
// log x = e ln 2 + log m with x = m 2^e and m in [sqrt(1/2), sqrt(2)).
static inline vec v_log(vec x) {
#if REGISTER == 64 || defined(__AVX512VL__)
  // exponent and significand by instructions that treat 0, denormals, inf and NaN right
  vec e = SIMD(getexp_ps)(x);
  vec m = SIMD(getmant_ps)(x, _MM_MANT_NORM_1_2, _MM_MANT_SIGN_nan);
  const mask high = m > 1.41421356f;
  e = high ? e + 1.0f : e;
  m = (high ? m * 0.5f : m) - 1.0f;
#else
  const mask denormal = x < 1.17549435e-38f;
  const vec scaled = denormal ? x * 8388608.0f : x;
  const mask bits = (mask)scaled;
  const mask shifted = bits - 0x3f3504f3;  // sqrt(1/2)
  const vec e = __builtin_convertvector(shifted >> 23, vec) - (denormal ? splat(23.0f) : splat(0.0f));
  const vec m = (vec)((shifted & 0x007fffff) + 0x3f3504f3) - 1.0f;
#endif
  const vec z = m * m;
  vec p = 7.0376836292e-2f + vec{};
  p = p * m - 1.1514610310e-1f;
  p = p * m + 1.1676998740e-1f;
  p = p * m - 1.2420140846e-1f;
  p = p * m + 1.4249322787e-1f;
  p = p * m - 1.6668057665e-1f;
  p = p * m + 2.0000714765e-1f;
  p = p * m - 2.4999993993e-1f;
  p = p * m + 3.3333331174e-1f;
  // both pieces of ln 2 are positive, so that an infinite e gives an infinity and no NaN
  const vec y = (p * m * z - 0.5f * z + e * 1.42860677e-6f) + m + e * 0.693145752f;
#if REGISTER == 64 || defined(__AVX512VL__)
  return y;
#else
  const vec big = x == __builtin_inff() ? x : y;
  const vec whole = x == 0 ? splat(-__builtin_inff()) : big;
  return (x < 0) | (x != x) ? splat(__builtin_nanf("")) : whole;
#endif
}
""",
    ),
    "log1p": (
        ("log",),
        """
// log(1 + x) with the rounding error of u = 1 + x corrected: log(u) x / (u - 1).
static inline vec v_log1p(vec x) {
  const vec u = 1.0f + x, d = u - 1.0f;
  const vec y = v_log(u) * (x / d);
  return (d == 0) | (u == __builtin_inff()) ? x : y;
}
""",
    ),
    "tanh": (
        ("exp", "abs"),
        """
// Near 0 an odd polynomial, else 1 - 2 / (e^2|x| + 1) with the sign of x.
static inline vec v_tanh(vec x) {
  const vec a = v_abs(x), z = x * x;
  vec p = -5.70498872745e-3f + vec{};
  p = p * z + 2.06390887954e-2f;
  p = p * z - 5.37397155531e-2f;
  p = p * z + 1.33314422036e-1f;
  p = p * z - 3.33332819422e-1f;
  const vec small = p * z * x + x;
  const vec large = 1.0f - 2.0f / (v_exp(a + a) + 1.0f);
  return a < 0.625f ? small : (x < 0 ? -large : large);
}
""",
    ),
    "erf": (
        ("exp", "abs"),
        """
static inline vec v_erf(vec x) {  // N. Juffa: two polynomials that meet at 475/512, below 1 ulp each
  const vec t = v_abs(x), s = x * x;
  vec r = 3.83197126e-4f - 1.72853470e-5f * t;
  vec u = 2.42546219e-2f - 3.88396438e-3f * t;
  r = r * s + u;
  r = r * t - 1.06777877e-1f;
  r = r * t - 6.34846687e-1f;
  r = r * t - 1.28717512e-1f;
  r = r * t - t;
  const vec large = 1.0f - v_exp(r);
  vec q = -5.96761703e-4f + vec{};
  q = q * s + 4.99119423e-3f;
  q = q * s - 2.67681349e-2f;
  q = q * s + 1.12819925e-1f;
  q = q * s - 3.76125336e-1f;
  q = q * s + 1.28379166e-1f;
  const vec tail = t > 4.0f ? splat(1.0f) : large;
  return t > 0.927734375f ? (x < 0 ? -tail : tail) : q * x + x;
}
""",
    ),
}


_SQRT = """
static inline vec v_sqrt(vec x) {
#if defined(__SSE2__)
  return SIMD(sqrt_@ps@)(x);
#else
  for (int i = 0; i < W; ++i) x[i] = std::sqrt(x[i]);
  return x;
#endif
}
static inline real v_sqrt(real x) { return std::sqrt(x); }
"""


def _rounding(name: str) -> str:
    call, mode = _ROUNDINGS[name]
    return f"""
static inline vec v_{name}(vec x) {{
#if REGISTER == 64
  return _mm512_roundscale_@ps@(x, {mode});
#elif defined(__SSE4_1__)
  return SIMD(round_@ps@)(x, {mode});
#else
  for (int i = 0; i < W; ++i) x[i] = {call}(x[i]);
  return x;
#endif
}}
static inline real v_{name}(real x) {{ return {call}(x); }}
"""


_SIGMOID = """
static inline vec v_sigmoid(vec x) { return 1 / (1 + v_exp(-x)); }
static inline real v_sigmoid(real x) { return 1 / (1 + std::exp(-x)); }
"""


def _piece(name: str, double: bool) -> tuple[tuple[str, ...], str]:
    if name in _PIECES:
        return _PIECES[name]
    if name == "doubles":
        return (), _DOUBLES + (_DOUBLES_OF_DOUBLES if double else _DOUBLES_OF_FLOATS)
    if name == "sqrt":
        return (), _SQRT
    if name == "sigmoid":
        return ("exp",), _SIGMOID
    if name in _ROUNDINGS:
        return (), _rounding(name)
    if not double and name in _FLOAT:
        needs, text = _FLOAT[name]
        scalar = _LANES_DOUBLE.get(name)
        return needs, text + (
            f"static inline real v_{name}(real x) {{ return {scalar}(x); }}\n" if scalar else ""
        )
    call = {**_LANES, **_LANES_DOUBLE}.get(name)
    if call:
        return (), (
            f"\nstatic inline real v_{name}(real x) {{ return {call}(x); }}\n"
            f"static inline vec v_{name}(vec x) {{ for (int i = 0; i < W; ++i) x[i] = {call}(x[i]); return x; }}\n"
        )
    call = _LANES2[name]
    return (), (
        f"\nstatic inline real v_{name}(real x, real y) {{ return {call}(x, y); }}\n"
        f"static inline vec v_{name}(vec x, vec y) "
        f"{{ for (int i = 0; i < W; ++i) x[i] = {call}(x[i], y[i]); return x; }}\n"
    )


def prelude(helpers: Iterable[str], dtypes: Iterable[str], real: str = "float") -> str:
    """The C++ text of the helpers and everything they call, in an order that compiles.

    Args:
        helpers: names of functions (``exp``, ``maximum``, ...) and of pieces (``partial``, ``stream``, ``put``,
            ``get``, ``prefetch``, ``sum_lanes``, ``max_lanes``, ...).
        dtypes: dtypes of every tensor the kernel loads or stores.
        real: the accumulation type, ``float`` or ``double``.
    """
    double = real == "double"
    kinds = set(dtypes)
    wanted = ["core"]
    if kinds - {"float64" if double else "float32", "bfloat16", "float16"}:
        wanted.append("narrow")
    wanted += [k for k in ("bfloat16", "float16") if k in kinds]
    wanted += sorted(set(helpers))
    done: dict[str, str] = {}

    def add(name: str) -> None:
        if name not in done:
            needs, text = _piece(name, double)
            for need in needs:
                add(need)
            done[name] = text

    for name in wanted:
        add(name)
    text = "".join(done.values())
    for mark, written in (
        ("@real@", real),
        ("@int@", "int64_t" if double else "int32_t"),
        ("@ps@", "pd" if double else "ps"),
        ("@epi@", "epi64" if double else "epi32"),
        ("@shorts@", "__m128i" if double else "__m256i"),
    ):
        text = text.replace(mark, written)
    return text.strip("\n") + "\n"
