"""Give a candidate's tunables values: where they are declared, else as macros (C++, CUDA) or module constants (Python).

A tunable is a choice the sources contain by name; the schedule varies and what is computed does not (TVM's split of
schedule from computation).
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping

from kopt.words import Candidate, Language
from kopt.words.declared_tunables import rewrite

Choice = int | float | str


def defaults(candidate: Candidate) -> dict[str, Choice]:
    """The values the sources have as they are."""
    return {t.name: t.default for t in candidate.tunables}


def instantiate(candidate: Candidate, values: Mapping[str, Choice]) -> Candidate:
    """A candidate with the given choices made; what is not given stays at its default.

    Raises:
        ValueError: a name the candidate does not declare, or a value that is none of its choices.
    """
    known = {t.name: t for t in candidate.tunables}
    for name, value in values.items():
        if name not in known:
            raise ValueError(
                f"{name!r} is no tunable of this candidate (it has {', '.join(known) or 'none'})"
            )
        if value not in known[name].choices:
            raise ValueError(f"{name} = {value!r} is none of {known[name].choices}")
    chosen = {**defaults(candidate), **values}
    changed = {name: value for name, value in chosen.items() if value != known[name].default}
    entry_file = candidate.entry.partition("::")[0]
    sources = {
        path: _rewrite(text, chosen, changed, candidate.language, path == entry_file)
        for path, text in candidate.sources.items()
    }
    return dataclasses.replace(
        candidate,
        sources=sources,
        parents=(candidate.digest,) if changed else candidate.parents,
        notes={**candidate.notes, "tunables": chosen},
    )


def _rewrite(
    text: str, chosen: Mapping[str, Choice], changed: Mapping[str, Choice], language: Language, entry: bool
) -> str:
    text, done = rewrite(text, changed)
    for name, value in chosen.items():
        text = text.replace("{{" + name + "}}", str(value))
    changed = {name: value for name, value in changed.items() if name not in done}
    if language in (Language.CPP, Language.CUDA):
        macros = "".join(f"#define {name} {value}\n" for name, value in changed.items())
        return macros + text if entry else text
    for name, value in changed.items():
        text = _assign(text, name, value)
    return text


def _assign(text: str, name: str, value: Choice) -> str:
    """Another value for a constant of a Python module, its comment kept; linear, for the text is a model's."""
    head = re.compile(rf"{re.escape(name)}[ \t]*(?::[^=]+)?=(?!=)[ \t]*")
    lines = text.split("\n")
    for number, line in enumerate(lines):
        found = head.match(line)
        if found:
            rest = line[found.end() :]
            old = rest.partition("#")[0].rstrip()
            lines[number] = f"{found.group()}{value!r}{rest[len(old) :]}"
    return "\n".join(lines)
