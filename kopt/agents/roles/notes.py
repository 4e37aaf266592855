"""Short notes on a language's API and its traps: those sections of ``notes_*.md`` that a problem's operators ask for.

A section's heading is the words (:mod:`kopt.agents.operators`, dtypes) that ask for it, or ``always``.
"""

from __future__ import annotations

import functools
from collections.abc import Collection, Iterable
from importlib import resources

LANGUAGES = {"C++": "cpp", "Python": "python"}
MOST_NOTES = 4_000
"""Characters, about a thousand tokens."""
MOST_FUNCTIONS = 8_000
_FUNCTIONS = {
    "exp": ("exp", "softmax", "logsumexp", "attention", "entropy", "elu", "selu", "celu"),
    "expm1": ("expm1",),
    "log": ("log", "entropy", "logsumexp"),
    "log1p": ("log1p", "softplus", "mish"),
    "sigmoid": ("sigmoid", "silu", "swish", "logsigmoid"),
    "tanh": ("tanh", "gelu", "mish"),
    "erf": ("erf", "gelu"),
}


def notes(words: Collection[str], dtypes: Collection[str]) -> str:
    """The sections that fit, as many whole lines as there is room for."""
    asked = {"always", *words, *dtypes}
    text = "\n".join(
        f"{language}:\n{body}"
        for language, name in LANGUAGES.items()
        if (body := "\n".join(body for heading, body in _sections(name) if asked & heading))
    )
    if len(text) <= MOST_NOTES:
        return text
    return text[:MOST_NOTES].rpartition("\n- ")[0]


def functions(words: Collection[str], dtypes: Iterable[str]) -> str:
    """C++ of kopt's own for elementary functions in float32: what its generator inlines and its tests check."""
    from kopt.agents.offline.prelude import prelude

    kinds = sorted(set(dtypes) & {"float32", "bfloat16", "float16"})
    helpers = [name for name, users in _FUNCTIONS.items() if set(users) & set(words)]
    while helpers and kinds:
        text = prelude([*helpers, "partial"], kinds)
        if len(text) <= MOST_FUNCTIONS:
            return text
        helpers.pop()
    return ""


@functools.cache
def _sections(name: str) -> list[tuple[frozenset[str], str]]:
    text = resources.files("kopt.agents.roles").joinpath(f"notes_{name}.md").read_text(encoding="utf-8")
    parts = [part.partition("\n") for part in ("\n" + text).split("\n## ")[1:]]
    return [(frozenset(heading.split()), body.strip()) for heading, _, body in parts]
