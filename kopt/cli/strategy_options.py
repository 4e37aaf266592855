"""The options of strategies as options of a command, made from where they are declared."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Annotated, Any

import typer

from kopt.rl.strategy_options import OPTIONS, Option


def takes_strategy_options(function: Callable[..., None]) -> Callable[..., None]:
    """Give a command every option of every strategy; those that were written reach it as the mapping ``options``."""
    offered = {option.name: option for options in OPTIONS.values() for option in options}

    @functools.wraps(function)
    def run(*args: Any, **kwargs: Any) -> None:
        given = {name: kwargs.pop(name, None) for name in offered}
        options = {name: value for name, value in given.items() if value is not None}
        function(*args, **kwargs, options=options)

    own = inspect.signature(function, eval_str=True)
    kept = [parameter for parameter in own.parameters.values() if parameter.name != "options"]
    extra = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=_annotation(option))
        for name, option in offered.items()
    ]
    parameters = [*kept, *extra]
    run.__signature__ = own.replace(parameters=parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {p.name: p.annotation for p in parameters}
    return run


def _annotation(option: Option) -> Any:
    takers = ", ".join(name for name, options in OPTIONS.items() if option in options)
    return Annotated[
        int | None if option.whole else float | None,
        typer.Option(
            option.flag,
            metavar="N" if option.whole else "X",
            help=f"{takers}: {option.help} \\[default: {option.default:g}]",
            rich_help_panel="Options of a strategy",
            show_default=False,
        ),
    ]
