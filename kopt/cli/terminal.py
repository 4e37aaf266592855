"""Only text reaches a terminal: what candidates, compilers and models say cannot move its cursor or colour a verdict.

A candidate's message could else overwrite the line that calls it wrong. Escape sequences, other control characters and
those that turn the direction of writing are shown as U+FFFD wherever they come from; kopt's own colours are not text.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

from rich.console import RenderHook
from rich.control import Control
from rich.segment import Segment

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, ConsoleRenderable, RenderableType

_UNSEEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def plain(text: str) -> str:
    """The text, what is no text in it replaced; lines and tabs stay."""
    return _UNSEEN.sub("\ufffd", text.replace("\r\n", "\n"))


class Plain:
    """Anything that can be printed, as :func:`plain` text."""

    def __init__(self, inner: RenderableType) -> None:
        self._inner = inner

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Segment]:
        for segment in console.render(self._inner, options):
            yield segment if segment.control else Segment(plain(segment.text), segment.style)


class PlainOnly(RenderHook):
    """Makes a console print everything as :func:`plain` text."""

    def process_renderables(self, renderables: list[ConsoleRenderable]) -> list[ConsoleRenderable]:
        """Wrap what is printed; what moves the cursor for a live display is rich's own."""
        return [one if isinstance(one, Control) else Plain(one) for one in renderables]


def echo(text: str) -> None:
    """Print a file's text: as it is into files and pipes, :func:`plain` on a terminal."""
    sys.stdout.write((plain(text) if sys.stdout.isatty() else text) + "\n")
