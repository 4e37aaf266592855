"""What every command shares: options, errors as one line, JSON on stdout, consoles, Ctrl-C.

Exit statuses: 0 and 1 are a command's own answer, 2 is input that cannot be used, 70 is a defect of kopt's
own and 130 is Ctrl-C (also SIGTERM and a closed terminal).
"""

from __future__ import annotations

import enum
import functools
import inspect
import json
import os
import signal
import sys
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Annotated, Any, ParamSpec

import typer

from kopt.errors import KoptError, UsageError

if TYPE_CHECKING:
    from rich.console import Console

    from kopt.words import Evaluation

P = ParamSpec("P")
UNUSABLE, DEFECT, INTERRUPTED = 2, 70, 130


class SandboxKind(enum.StrEnum):
    """How untrusted code is isolated."""

    AUTO = "auto"
    BUBBLEWRAP = "bubblewrap"
    DOCKER = "docker"
    NONE = "none"


class PolicyKind(enum.StrEnum):
    """What a candidate may leave to libraries."""

    STRICT = "strict"
    ALLOW_LIBRARY = "allow-library"
    FREE = "free"


ProblemArgument = Annotated[
    str,
    typer.Argument(
        metavar="PROBLEM", help="A problem file, a code problem's folder, or the name of a shipped one."
    ),
]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="NAME=VALUE", help="Replace a constant of the problem. May be repeated."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object; progress goes to stderr.")]
SandboxOption = Annotated[
    SandboxKind,
    typer.Option(
        "--sandbox", help="How untrusted code is isolated; `none` runs it as you, and the record says so."
    ),
]
PolicyOption = Annotated[
    PolicyKind,
    typer.Option(
        "--policy",
        help="Library operators in a candidate: `strict` refuses, `allow-library` names them, `free` looks away.",
    ),
]
ArchOption = Annotated[
    str | None,
    typer.Option(
        "--arch",
        metavar="ARCH",
        help="Compile CUDA and Triton for this GPU: sm_80, sm_86, sm_89, sm_90 (the default, or KOPT_ARCH), sm_90a, "
        "sm_100, sm_100a, sm_120, sm_120a.",
    ),
]
SecondsOption = Annotated[
    float | None, typer.Option("--budget-seconds", metavar="S", help="Wall time for everything.")
]
EvaluationsOption = Annotated[
    int | None, typer.Option("--budget-evaluations", metavar="N", help="Most candidates to evaluate.")
]
DollarsOption = Annotated[
    float | None, typer.Option("--budget-dollars", metavar="D", help="Most to pay for models.")
]
TokensOption = Annotated[
    int | None, typer.Option("--budget-tokens", metavar="N", help="Most tokens to exchange with models.")
]


def command(function: Callable[P, None]) -> Callable[P, None]:
    """Give a command the common manners: one-line errors, exit statuses, a quiet Ctrl-C."""

    @functools.wraps(function)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        _catch_signals()
        as_json = bool(inspect.signature(function).bind(*args, **kwargs).arguments.get("as_json"))
        try:
            function(*args, **kwargs)
            sys.stdout.flush()
        except typer.Exit:
            raise
        except KoptError as error:
            _fail(" ".join(str(error).split()), UNUSABLE, as_json=as_json)
        except KeyboardInterrupt as error:
            _fail(str(error) or "stopped; nothing is left running", INTERRUPTED, as_json=as_json)
        except BrokenPipeError:  # the reader of our output went away, as in `kopt runs list | head -1`
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise typer.Exit(1) from None
        except Exception as error:
            line = " ".join(f"{type(error).__name__}: {error}".split())[:500]
            _fail(
                f"a defect of kopt: {line}; KOPT_DEBUG=1 shows where, please report it",
                DEFECT,
                as_json=as_json,
            )

    return run


def _fail(line: str, status: int, *, as_json: bool) -> None:
    if os.environ.get("KOPT_DEBUG") == "1" and status != INTERRUPTED:
        raise
    if as_json:
        print_json({"error": line})
    from kopt.cli.terminal import plain

    prefix = "" if status == INTERRUPTED else "kopt: "
    print(prefix + plain(line), file=sys.stderr, flush=True)  # noqa: T201
    raise typer.Exit(status) from None


def _catch_signals() -> None:
    """End like Ctrl-C when asked to end, and clean up undisturbed by a second request."""

    def stop(_number: int, _frame: object) -> None:
        for number in caught:
            signal.signal(number, signal.SIG_IGN)
        raise KeyboardInterrupt

    caught = [
        number
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        if signal.getsignal(number) is not signal.SIG_IGN
    ]
    for number in caught:
        signal.signal(number, stop)


def parse_sets(pairs: list[str] | None) -> dict[str, str]:
    """Read ``--set NAME=VALUE`` options.

    Raises:
        UsageError: one of them is not of that form, or a name is given twice.
    """
    values: dict[str, str] = {}
    for pair in pairs or []:
        name, equals, value = pair.partition("=")
        name, value = name.strip(), value.strip()
        if not equals or not name.isidentifier() or not value:
            raise UsageError(f"--set {pair}: write it as NAME=VALUE, for example --set batch_size=16")
        if name in values:
            raise UsageError(f"--set {name} is given twice; give it once")
        values[name] = value
    return values


def print_json(document: Any) -> None:
    """Print one JSON object on stdout, and nothing else."""
    from kopt.words import to_json

    sys.stdout.write(json.dumps(to_json(document), indent=1, allow_nan=False) + "\n")
    sys.stdout.flush()


def console(*, stderr: bool = False) -> Console:
    """A console for plain text that neither highlights numbers nor breaks words where no terminal limits the width."""
    from rich.console import Console

    from kopt.cli.terminal import PlainOnly

    made = Console(stderr=stderr, highlight=False, soft_wrap=False)
    made.push_render_hook(PlainOnly())
    if not made.is_terminal:
        made.width = max(made.width, 140)
    return made


def shorten(text: str, most: int = 72) -> str:
    """One line of at most that many characters."""
    line = " ".join(text.split())
    return line if len(line) <= most else line[: most - 1] + "…"


def call_seconds(evaluation: Evaluation) -> float | None:
    """The candidate's median time per call, the mean over workloads where there are several."""
    medians = [t.median for side, t in evaluation.timing.items() if side.rpartition("/")[2] == "candidate"]
    return sum(medians) / len(medians) if medians else None


def duration(seconds: float) -> str:
    """A time in words, three digits: ``1.42 ms``."""
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("us", 1e-6)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}" if seconds < 1000 * size else f"{seconds / size:.0f} {unit}"
    return f"{seconds * 1e9:.3g} ns"


def amount(name: str, value: float) -> str:
    """How much of a resource, as people read it: ``$0.0123``, ``120 seconds``."""
    return f"${value:.4g}" if name == "dollars" else f"{value:.0f} {name.replace('_', ' ')}"


def gain(speedup: Any) -> str:
    """A speed-up with its interval, from a word or its JSON: ``2.31x [2.20, 2.42]``."""
    if speedup is None:
        return "-"
    if not isinstance(speedup, Mapping):
        speedup = {"ratio": speedup.ratio, "low": speedup.low, "high": speedup.high}
    ratio, low, high = (
        f"{float(speedup[key]):.2f}" if float(speedup[key]) < 1000 else f"{float(speedup[key]):.1e}"
        for key in ("ratio", "low", "high")
    )
    return f"{ratio}x [{low}, {high}]"
