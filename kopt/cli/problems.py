"""``kopt problems``: what is shipped."""

from __future__ import annotations

import typer

from kopt.cli.common import JsonOption, command, console, print_json

app = typer.Typer(no_args_is_help=True, help="The shipped problems.")


@app.command("list")
@command
def list_problems(as_json: JsonOption = False) -> None:
    """List the shipped problems by family; their names can be given wherever a problem is asked for."""
    from kopt.problems import suite_problems

    found = suite_problems()
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
        table.add_row(
            "" if path.parent.name == family else path.parent.name, name, _summary(path.read_text())
        )
        family = path.parent.name
    console().print(table)


def _summary(text: str) -> str:
    """The first line of a problem's docstring."""
    import ast

    lines = (ast.get_docstring(ast.parse(text)) or "").splitlines()
    return lines[0] if lines else ""
