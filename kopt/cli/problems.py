"""``kopt problems``: what is shipped."""

from __future__ import annotations

from pathlib import Path

import typer

from kopt.cli.common import JsonOption, command, console, print_json

app = typer.Typer(no_args_is_help=True, help="The shipped problems.")


@app.command("list")
@command
def list_problems(as_json: JsonOption = False) -> None:
    """List the shipped problems by family; their names can be given wherever a problem is asked for."""
    from kopt.problems import suite_code, suite_problems

    found = {**suite_problems(), **suite_code()}
    if as_json:
        print_json(
            {
                "problems": [
                    {"name": name, "family": path.parent.name, "path": str(path)}
                    for name, path in found.items()
                ]
            }
        )
        return
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("family", "problem", "what"):
        table.add_column(heading)
    family = ""
    for name, path in sorted(found.items(), key=lambda item: (item[1].parent.name, item[0])):
        table.add_row("" if path.parent.name == family else path.parent.name, name, _summary(path))
        family = path.parent.name
    console().print(table)


def _summary(path: Path) -> str:
    """The first line of a problem's docstring, or what a code problem says it is about."""
    import ast

    if path.is_dir():
        from kopt.problems import load
        from kopt.problems.code import rules_of

        return rules_of(load(path)).about
    lines = (ast.get_docstring(ast.parse(path.read_text())) or "").splitlines()
    return lines[0] if lines else ""
