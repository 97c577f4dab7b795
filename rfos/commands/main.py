"""The commands. Results go to stdout, progress and messages to stderr.

Exit status: 0 done, 1 a check failed, 2 bad input (one line that says what and how to mend it), 130 interrupted by
Ctrl-C, 141 nobody reads the results any more. Messages that nobody can read change nothing.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Annotated, Any

import typer

from rfos import __version__
from rfos._system.streams import ReaderGone, standard_streams
from rfos.commands import bound, marco, report, reproduce, solve, sweep, verify

app = typer.Typer(
    help="The sample-complexity theory of opponent shaping, executable.",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)

INTERRUPTED = 130

READER_GONE = 141


@app.callback(invoke_without_command=True)
def _commands(
    context: typer.Context, version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False
) -> None:
    """Make the sample-complexity theory of opponent shaping executable."""
    if version:
        typer.echo(f"rfos {__version__}")
        raise typer.Exit()
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


COMMANDS: dict[str, Callable[..., None]] = {
    "reproduce": reproduce.reproduce,
    "solve": solve.solve,
    "bound": bound.bound,
    "verify": verify.verify,
    "sweep": sweep.sweep,
    "report": report.report,
    "marco": marco.marco,
}
for name, command in COMMANDS.items():
    app.command(name)(command)


def main(arguments: list[str] | None = None) -> None:
    """Run a command; exit as the module docstring says."""
    with standard_streams():
        status = _status(arguments)
    sys.exit(status)


def _status(arguments: list[str] | None) -> int:
    """Run a command; return its exit status."""
    usage_error: Any = typer.BadParameter.__base__
    try:
        status = app(args=arguments, standalone_mode=False)
        sys.stdout.flush()
    except usage_error as error:
        message = error.format_message().replace("\n", " ")
        typer.echo(f"rfos: {message} (see rfos --help)", err=True)
        return 2
    except (ValueError, MemoryError, OSError) as error:
        typer.echo(f"rfos: {error}", err=True)
        return 2
    except ReaderGone:
        return READER_GONE
    except (KeyboardInterrupt, typer.Abort) as error:
        if isinstance(error.__cause__, EOFError):  # the library takes every one for the end of what a user types
            raise error.__cause__ from None
        status = INTERRUPTED
    if status == INTERRUPTED:
        # Where an interrupt has passed through an exec of text, as a compiler's, CPython ends by the signal instead of
        # with a status, unless some text is run after it.
        exec("")
        typer.echo("\nrfos: interrupted; files written so far are whole", err=True)
    return status if isinstance(status, int) else 0
