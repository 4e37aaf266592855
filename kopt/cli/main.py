"""The command line's frame: which commands there are. Imports typer only; commands import rooms when run."""

from __future__ import annotations

from typing import Annotated

import typer

from kopt.cli import doctor, evaluate, library, lint, optimize, problems, profile, redteam, runs, sandbox
from kopt.cli.common import command
from kopt.cli.mcp import command as mcp

app = typer.Typer(
    name="kopt",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Start with [bold]kopt doctor[/bold], then [bold]kopt optimize rms_norm[/bold].",
)


def _version(wanted: bool) -> None:
    if wanted:
        from kopt import __version__

        typer.echo(f"kopt {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Faster PyTorch operators, proved right by measurement."""


app.command("optimize", epilog=optimize.EXAMPLES)(command(optimize.optimize))
app.command("evaluate", epilog=evaluate.EXAMPLES)(command(evaluate.evaluate))
app.command("profile", epilog=profile.EXAMPLES)(command(profile.profile))
app.command("lint", epilog=lint.EXAMPLES)(command(lint.lint))
app.command("redteam", epilog=redteam.EXAMPLES)(command(redteam.redteam))
app.command("mcp", epilog=mcp.EXAMPLES)(command(mcp.mcp))
app.command("doctor")(command(doctor.doctor))
app.command("why", epilog=library.WHY_EXAMPLES)(command(library.why))
app.add_typer(runs.app, name="runs")
app.add_typer(library.app, name="library")
app.add_typer(problems.app, name="problems")
app.add_typer(sandbox.app, name="sandbox")


def main() -> None:
    """Run the command line; exits with the command's status."""
    app(prog_name="kopt")


if __name__ == "__main__":
    main()
