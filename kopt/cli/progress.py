"""Live progress of a run: one line per finished candidate, and on a terminal a panel that moves below them.

The panel shows the best so far, what is being done, how many candidates were tried and what is left of the
budget.
"""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from kopt.cli.common import call_seconds, duration, gain, shorten
from kopt.words import Evaluation

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

    from kopt.rl.ledger import Ledger


@contextlib.contextmanager
def progress(console: Console) -> Iterator[Progress]:
    """An observer that shows a run on ``console`` while the block lasts."""
    state = Progress(console)
    if not console.is_terminal:
        yield state
        return
    from rich.live import Live

    from kopt.cli.terminal import Plain

    with Live(
        console=console,
        get_renderable=lambda: Plain(state.panel()),
        refresh_per_second=8,
        transient=True,
        redirect_stdout=False,
    ):
        yield state


class Progress:
    """What has happened so far, told as it happens."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._ledger: Ledger | None = None
        self._doing = "opening the sandbox"
        self._stage = ""
        self._since = time.monotonic()
        self._verdicts: dict[str, str] = {}
        self._best: Evaluation | None = None
        self._best_number: int | None = None

    def __call__(self, kind: str, payload: Mapping[str, Any]) -> None:
        """Take note of one thing that happened."""
        handler = getattr(self, f"_on_{kind}", None)
        if handler is not None:
            handler(payload)

    def _on_opening(self, payload: Mapping[str, Any]) -> None:
        from rich.markup import escape

        self._say(
            f"[bold]{escape(str(payload['problem']))}[/]: opening the sandbox and running the reference"
        )

    def _on_lint(self, _payload: Mapping[str, Any]) -> None:
        self._do("trying wrong answers on the problem")

    def _on_linted(self, payload: Mapping[str, Any]) -> None:
        if payload["passing"]:
            self._say(f"[yellow]weak problem[/]: it accepts {', '.join(payload['passing'])}")

    def _on_run(self, payload: Mapping[str, Any]) -> None:
        self._ledger = payload["ledger"]
        self._say(f"run [bold]{payload['run']}[/], strategy {payload['strategy']}")
        self._do("reading the reference and proposing kernels")

    def _on_recalled(self, payload: Mapping[str, Any]) -> None:
        self._best = payload["incumbent"]
        self._say(f"{payload['evaluations']} evaluations recalled from the store, none is repeated")

    def _on_baseline(self, payload: Mapping[str, Any]) -> None:
        self._do(f"timing the baseline {payload.get('name', '')}")

    def _on_model(self, payload: Mapping[str, Any]) -> None:
        from rich.markup import escape

        if payload["error"]:
            self._say(f"  [yellow]{escape(payload['error'])}[/]")

    def _on_vetoed(self, payload: Mapping[str, Any]) -> None:
        from rich.markup import escape

        self._say(f"  [yellow]held back[/]: {escape(shorten(payload['reason'], 100))}")

    def _on_challenged(self, payload: Mapping[str, Any]) -> None:
        from rich.markup import escape

        self._say(f"  verified on other inputs from here on: {escape(shorten(payload['why'], 100))}")

    def _on_proposed(self, payload: Mapping[str, Any]) -> None:
        self._do(f"{payload['phase']}  #{payload['number']}  {payload['label']}")

    def _on_stage(self, payload: Mapping[str, Any]) -> None:
        self._stage = str(payload.get("stage") or payload.get("name") or "")

    def _on_evaluated(self, payload: Mapping[str, Any]) -> None:
        from rich.markup import escape

        evaluation: Evaluation = payload["evaluation"]
        self._verdicts[evaluation.candidate] = evaluation.verdict.value
        own = call_seconds(evaluation)
        best: Evaluation | None = payload["best"]
        is_best = best is not None and best.candidate == evaluation.candidate
        if evaluation.correct:
            outcome = f"[green]correct[/]  {gain(evaluation.gain):<22} {duration(own) if own else '':>8}"
        else:
            outcome = f"[red]{evaluation.verdict}[/]  {escape(shorten(evaluation.reason, 90))}"
        mark = "[bold green]*[/]" if is_best else " "
        what = f"[dim]{escape(shorten(payload['label']))}[/]"
        self._say(f"{mark} #{payload['number']:<3} {payload['phase']:<8}{outcome}  {what}")
        self._best, self._best_number = best, payload["best_number"]
        self._stage = ""
        self._do("choosing the next candidate")

    def _say(self, line: str) -> None:
        self._console.print(line, soft_wrap=not self._console.is_terminal, no_wrap=True, overflow="ellipsis")

    def _do(self, what: str) -> None:
        self._doing, self._since = what, time.monotonic()

    def panel(self) -> RenderableType:
        """The moving part."""
        from rich.progress_bar import ProgressBar
        from rich.table import Table
        from rich.text import Text

        grid = Table.grid(padding=(0, 2))
        grid.add_column(style="dim", no_wrap=True)
        grid.add_column(no_wrap=True, overflow="ellipsis")
        now = f"{self._doing}" + (f"  [{self._stage}]" if self._stage else "")
        grid.add_row("now", Text(f"{now}  {time.monotonic() - self._since:.0f} s"))
        grid.add_row("best", Text(*self._standing()))
        counted = Counter(self._verdicts.values()).most_common()
        kinds = ", ".join(f"{count} {verdict}" for verdict, count in counted)
        grid.add_row("tried", Text(f"{len(self._verdicts)}" + (f": {kinds}" if kinds else "")))
        for what, used, limit in self._budget():
            bar = Table.grid(padding=(0, 1))
            bar.add_row(ProgressBar(total=limit, completed=min(used, limit), width=30), Text(what))
            grid.add_row("budget", bar)
        return grid

    def _standing(self) -> tuple[str, str]:
        """The best so far in words, green only when its whole interval lies above 1."""
        speedup = self._best.gain if self._best is not None else None
        if speedup is None:
            return "nothing correct yet", ""
        number = f"  candidate #{self._best_number}" if self._best_number is not None else ""
        return gain(speedup) + number, "bold green" if speedup.low > 1 else "yellow"

    def _budget(self) -> list[tuple[str, float, float]]:
        if self._ledger is None:
            return []
        spent, limits = self._ledger.spent, self._ledger.limits
        rows = []
        for name, limit in limits.items():
            used = spent.get(name, 0.0)
            left, digits = max(0.0, limit - used), 2 if name == "dollars" else 0
            rows.append((f"{left:.{digits}f} of {limit:.{digits}f} {name} left", used, limit))
        return rows
