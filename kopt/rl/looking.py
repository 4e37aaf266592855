"""What models may look up before they answer: notes on operators, and the library's verified kernels.

What was found is kept with the run's id, as the library grows meanwhile: a resumed run tells its models what it told
them before.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from typing import Any

from kopt.agents.chat.cache import ReplyCache
from kopt.agents.chat.words import ToolSpec
from kopt.agents.lookups import Tool
from kopt.agents.operators import named
from kopt.agents.roles.notes import functions, notes
from kopt.rl.retrieval import ranked_kernels
from kopt.settings import Settings
from kopt.words import digest_of

MOST_WORDS = 400
_KERNELS, _LEAST = 2, 1e-6  # one word in common is enough: a model knows what it asks for
_WORDS = {"type": "object", "properties": {"words": {"type": "string"}}, "required": ["words"]}


def lookups(settings: Settings, run: str = "") -> list[Tool]:
    """The tools of a run; ``run`` is the name under which results are kept, none are where it is empty."""
    kept = ReplyCache(settings.home / "lookups")

    def once(name: str, find: Callable[[str], str]) -> Callable[[Mapping[str, Any]], str]:
        def call(arguments: Mapping[str, Any]) -> str:
            words = arguments.get("words")
            if not isinstance(words, str) or not words.strip():
                raise ValueError('give the argument "words", as text')
            words = " ".join(words[:MOST_WORDS].split())
            key = digest_of({"run": run, "tool": name, "words": words})
            document = kept.get(key) if run else None
            if document is not None:
                with contextlib.suppress(KeyError):
                    return str(document["text"])
            text = find(words) or "nothing is known of that"
            if run:
                kept.put(key, {"run": run, "tool": name, "words": words}, {"text": text})
            return text

        return call

    def kernels(words: str) -> str:
        found = ranked_kernels(named(words), _KERNELS, settings, _LEAST)
        return "\n\n".join(
            f"{k.name} ({k.language}, {k.gain:.3g} times as fast as PyTorch where it was verified):\n{k.source}"
            for k in found
        )

    def told(words: str) -> str:
        asked = named(words)
        return "\n".join(part for part in (notes(asked, ()), functions(asked, ("float32",))) if part)

    return [
        Tool(
            ToolSpec(
                name="library_search",
                description="Sources of verified kernels whose problems use the operators you name, as 'softmax exp'.",
                parameters=_WORDS,
            ),
            once("library_search", kernels),
        ),
        Tool(
            ToolSpec(
                name="notes",
                description="Notes and C++ functions to copy for the operators you name, as 'gelu erf'.",
                parameters=_WORDS,
            ),
            once("notes", told),
        ),
    ]
