"""A proposed implementation."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from kopt.words.serial import digest_of


class Language(enum.StrEnum):
    """What a candidate is written in, which decides its toolchain. ``code``: changed files of a code problem."""

    CPP = "cpp"
    CUDA = "cuda"
    TRITON = "triton"
    TORCH = "torch"
    CODE = "code"

    @property
    def timed(self) -> bool:
        """Whether kernels in it are timed: they run on a processor."""
        return self in (Language.CPP, Language.TORCH)

    @property
    def compiled_for_gpus(self) -> bool:
        """Whether its kernels are compiled for an architecture of :class:`kopt.settings.Arch`."""
        return self in (Language.CUDA, Language.TRITON)


class Style(enum.StrEnum):
    """How outputs leave the candidate.

    ``destination``: called with ``(*tensor inputs, *state, *outputs)`` and writes into the outputs.
    ``returning``: called like the reference and returns its outputs; the copy into the ring is counted.
    """

    DESTINATION = "destination"
    RETURNING = "returning"


@dataclass(frozen=True, kw_only=True)
class Tunable:
    """A named choice the candidate's sources contain as ``{{name}}`` or as a macro / constant of that name."""

    name: str
    choices: tuple[int | float | str, ...]
    default: int | float | str


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """Source files, language and entry point, with where it came from.

    ``entry`` is ``file::symbol``. ``flags`` are extra compiler flags, checked against the toolchain's allow-list.
    ``notes`` (schedule, rationale) take no part in the identity.
    """

    sources: Mapping[str, str]
    language: Language
    entry: str
    style: Style
    flags: tuple[str, ...] = ()
    proposer: str = "person"
    parents: tuple[str, ...] = ()
    tunables: tuple[Tunable, ...] = ()
    notes: Mapping[str, Any] = field(default_factory=dict)

    @property
    def digest(self) -> str:
        """Identity: what is built and called."""
        return digest_of(
            {
                "sources": self.sources,
                "language": self.language,
                "entry": self.entry,
                "style": self.style,
                "flags": self.flags,
            }
        )
