"""What others say reaches a terminal as text only."""

from __future__ import annotations

import io
import os
import pty

from rich.console import Console
from rich.live import Live
from rich.text import Text

from kopt.cli.progress import progress
from kopt.cli.terminal import Plain, PlainOnly, echo, plain

FORGED = "off by one\x1b[2K\r\x1b[32mcorrect\x1b[0m\x07\u202egnorw"


def terminal() -> tuple[Console, io.StringIO]:
    stream = io.StringIO()
    made = Console(file=stream, force_terminal=True, color_system="standard", width=100, _environ={})
    made.push_render_hook(PlainOnly())
    return made, stream


def test_lines_and_tabs_stay() -> None:
    assert plain("one\ttwo\r\nthree\n") == "one\ttwo\nthree\n"
    assert plain("größer ≥ 1 µs") == "größer ≥ 1 µs"


def test_a_message_cannot_colour_or_overwrite() -> None:
    console, stream = terminal()
    console.print(Text("[red] ") + Text(FORGED))
    console.print(FORGED, style="red", markup=False)
    written = stream.getvalue()
    assert "correct" in written
    assert "\x1b[2K" not in written
    assert "\x1b[32m" not in written
    assert "\r" not in written
    assert "\u202e" not in written
    assert "\x1b[31m" in written  # kopt's own colours stay


def test_a_live_panel_is_plain_too() -> None:
    console, stream = terminal()
    with Live(console=console, get_renderable=lambda: Plain(Text(FORGED)), auto_refresh=False) as live:
        live.refresh()
    assert "correct" in stream.getvalue()
    assert "\x1b[32m" not in stream.getvalue()


def test_the_panel_of_a_run_is_plain() -> None:
    console, stream = terminal()
    with progress(console) as observe:
        observe("proposed", {"phase": "search", "number": 1, "label": FORGED})
        observe("vetoed", {"reason": FORGED})
    assert "held back" in stream.getvalue()
    assert "\x1b[32mcorrect" not in stream.getvalue()


def test_sources_are_plain_on_a_terminal_only(monkeypatch, capfd) -> None:
    echo(FORGED)
    assert capfd.readouterr().out == FORGED + "\n"
    ours, theirs = pty.openpty()
    with os.fdopen(theirs, "w") as stream:
        monkeypatch.setattr("sys.stdout", stream)
        echo(FORGED)
        stream.flush()
        seen = os.read(ours, 1000)
    os.close(ours)
    assert b"correct" in seen
    assert b"\x1b" not in seen
