"""Triton's interpreter, mended where it computes something else than a GPU."""

from __future__ import annotations

from typing import Any


def mend() -> None:
    """Let ``tl.dot`` multiply bfloat16 as the numbers they are, and loops end where a loaded number says.

    The interpreter (Triton 3.9) holds bfloat16 as 16-bit integers, since NumPy has no such type, and multiplies those:
    every product of bfloat16 matrices would be wrong. Products of bfloat16 are exact in float32, as on a GPU. Before
    Triton 3.9 it makes whole numbers of arrays of one element, which NumPy 2.4 refuses. Call before a kernel is
    interpreted; where Triton is missing nothing is done.
    """
    try:
        import triton.language as tl
        from triton.runtime import interpreter
        from triton.runtime.interpreter import InterpreterBuilder
    except ImportError:
        return
    patch: Any = getattr(interpreter, "_patch_lang_tensor", None)

    def patch_tensor(tensor: Any, *scope: Any) -> None:  # with a scope, which undoes it, since Triton 3.6
        patch(tensor, *scope)
        put = scope[0].set_attr if scope else setattr
        put(tensor, "__index__", lambda self: int(self.handle.data.squeeze()))

    if patch is not None:
        interpreter._patch_lang_tensor = patch_tensor
    multiply = InterpreterBuilder.create_dot

    def create_dot(builder: Any, a: Any, b: Any, *rest: Any) -> Any:
        a, b = (builder.cast_impl(x, tl.float32) if x.dtype.scalar == tl.bfloat16 else x for x in (a, b))
        return multiply(builder, a, b, *rest)

    InterpreterBuilder.create_dot = create_dot
