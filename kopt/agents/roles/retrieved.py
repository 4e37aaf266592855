"""What was looked up for a problem, as all writers get it: notes, functions to copy, similar verified kernels.

One message, the same for a whole run and stable: it follows the problem, so that a provider keeps it.
"""

from __future__ import annotations

import dataclasses

from kopt.agents.chat.words import Message
from kopt.agents.context import Context, Similar
from kopt.agents.operators import operators
from kopt.agents.roles.notes import functions, notes
from kopt.agents.roles.prompts import asked, guarded
from kopt.problems.shown import shown_text
from kopt.words import TensorSpec

MOST_KERNEL = 8_000
"""Characters of a kernel, about two thousand tokens: what is longer is not shown, for half a kernel misleads."""
MOST_KERNELS = 16_000
_COPIED = (
    "C++ functions on whole registers that you may copy (tested to 1-2 ulp; they need <cmath>, <cstdint>, <cstring> "
    "and <immintrin.h>):"
)


def retrieved(context: Context) -> Message:
    """Notes and kernels for a problem."""
    words = operators(shown_text(context.problem))
    dtypes = {
        value.dtype
        for spec in context.specs
        for value in (*spec.arguments, *spec.state, *spec.outputs)
        if isinstance(value, TensorSpec)
    }
    copied = functions(words, dtypes)
    lines = notes(words, dtypes)
    if copied:
        lines += f"\n{_COPIED}\n{copied}"
    message = asked("helpful", notes=lines, kernels=_kernels(context.similar))
    return dataclasses.replace(message, stable=True)


def _kernels(similar: tuple[Similar, ...]) -> str:
    room, told = MOST_KERNELS, ""
    for kernel in similar:
        text = guarded(kernel.source.strip())
        if len(text) > min(room, MOST_KERNEL):
            continue
        room -= len(text)
        head = f"{kernel.language}, {kernel.gain:.3g} times as fast as PyTorch where it was verified"
        told += f"\n\nA verified kernel for a similar problem ({head}):\n<data>\n{text}\n</data>"
    return told
