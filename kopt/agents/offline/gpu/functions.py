"""Operators of :data:`kopt.agents.offline.expr.OPS` as Triton text.

Only what the interpreter runs too is used (no libdevice), so that every kernel is checked where no GPU is.
"""

from __future__ import annotations

from kopt.agents.offline.expr import BITS

INFIX = {**BITS,
         "add": "+", "sub": "-", "mul": "*", "div": "/", "lt": "<", "le": "<=", "gt": ">", "ge": ">=", "eq": "==",
         "ne": "!=", "and": "&", "or": "|", "xor": "^"}  # fmt: skip
_PLAIN = ("abs", "exp", "exp2", "log", "log2", "sin", "cos", "erf", "floor", "ceil")
CALLS = {
    **{name: f"tl.{name}({{0}})" for name in _PLAIN},
    "sqrt": "tl.sqrt_rn({0})",
    "where": "tl.where({0}, {1}, {2})",
    "number": "({0}).to(tl.float32)",
    "neg": "-{0}",
    "not": "~{0}",
    "log10": "tl.log2({0}) * 0.30102999566398120",
    "tan": "tl.sin({0}) / tl.cos({0})",
}

HELPERS = {
    "maximum": (
        "def _maximum(a, b):\n"
        "    return tl.maximum(a, b, propagate_nan=tl.PropagateNan.ALL)  # NaN wins, as in torch"
    ),
    "minimum": (
        "def _minimum(a, b):\n"
        "    return tl.minimum(a, b, propagate_nan=tl.PropagateNan.ALL)  # NaN wins, as in torch"
    ),
    "product": "def _product(a, b):\n    return a * b",
    "sigmoid": "def _sigmoid(x):\n    return 1 / (1 + tl.exp(-x))",
    "tanh": (
        "def _tanh(x):\n"
        "    # near 0 an odd polynomial, else 1 - 2 / (e^2|x| + 1) with the sign of x\n"
        "    a = tl.abs(x)\n    z = x * x\n"
        "    p = (((-5.70498872745e-3 * z + 2.06390887954e-2) * z - 5.37397155531e-2) * z + 1.33314422036e-1)\n"
        "    small = (p * z - 3.33332819422e-1) * z * x + x\n"
        "    large = 1 - 2 / (tl.exp(2 * a) + 1)\n"
        "    return tl.where(a < 0.625, small, tl.where(x < 0, -large, large))"
    ),
    "log1p": (
        "def _log1p(x):\n"
        "    # log(1 + x) with the rounding error of 1 + x corrected\n"
        "    u = 1 + x\n    d = u - 1\n"
        "    return tl.where((d == 0) | (u == float('inf')), x, tl.log(u) * (x / tl.where(d == 0, 1.0, d)))"
    ),
    "expm1": (
        "def _expm1(x):\n"
        "    # near 0 a Taylor polynomial, so that nothing cancels\n"
        "    p = x * (1 + x * (0.5 + x * (1.6666667e-1 + x * (4.1666668e-2 + x * 8.3333338e-3))))\n"
        "    return tl.where(tl.abs(x) < 0.1, p, tl.exp(x) - 1)"
    ),
    "sinh": (
        "def _sinh(x):\n    e = _expm1(tl.abs(x))\n    h = 0.5 * (e + e / (e + 1))\n    return tl.where(x < 0, -h, h)"
    ),
    "cosh": "def _cosh(x):\n    e = tl.exp(tl.abs(x))\n    return 0.5 * (e + 1 / e)",
    "sign": "def _sign(x):\n    return tl.where(x > 0, 1.0, tl.where(x < 0, -1.0, 0.0))",
    "trunc": "def _trunc(x):\n    return tl.where(x < 0, tl.ceil(x), tl.floor(x))",
    "round": (
        "def _round(x):\n"
        "    # halves go to the even neighbour, as in torch\n"
        "    low = tl.floor(x)\n    part = x - low\n"
        "    up = (part > 0.5) | ((part == 0.5) & (low * 0.5 != tl.floor(low * 0.5)))\n"
        "    return tl.where(up, low + 1, low)"
    ),
}
"""Functions of the file, in an order in which each comes after those it calls."""

NEEDS = {"sinh": ("expm1",)}
"""What a helper calls."""
