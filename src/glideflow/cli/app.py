"""The ``glideflow`` command: every stage of the workflow also runs without Snakemake."""

from __future__ import annotations

import os
import signal
import sys
from typing import Annotated

import typer

from glideflow import __version__
from glideflow.cli import (
    config,
    files,
    library,
    mobility,
    plan,
    potentials,
    predict,
    properties,
    report,
    site,
    status,
    transfer,
)
from glideflow.errors import GlideflowError, TerminatedError

USER_ERROR = 2
FAILED = 1
INTERRUPTED = 130
TERMINATED = 143

app = typer.Typer(
    name="glideflow",
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="From interatomic physics to the strength of metals, as one reproducible workflow.",
)


def _version(wanted: bool) -> None:
    if wanted:
        print(f"glideflow {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Options of the command as a whole."""


_PROPERTIES = "Single potentials"
_RUNS = "Runs and results"
for _command in (
    properties.lattice,
    properties.elastic,
    properties.gamma,
    properties.peierls,
    properties.peierls_series,
    properties.peierls_paper,
    properties.peierls_nabarro,
):
    app.command(rich_help_panel=_PROPERTIES)(_command)
app.command(rich_help_panel=_PROPERTIES)(predict.predict)
app.add_typer(potentials.app, name="potentials", rich_help_panel=_PROPERTIES)
app.command(rich_help_panel=_PROPERTIES)(potentials.cite)
app.add_typer(config.app, name="config", rich_help_panel=_RUNS)
app.command(rich_help_panel=_RUNS)(site.doctor)
app.command(rich_help_panel=_RUNS)(plan.plan)
app.command(rich_help_panel=_RUNS)(status.status)
app.command(rich_help_panel=_RUNS)(status.failures)
app.add_typer(library.library_app, name="library", rich_help_panel=_RUNS)
app.add_typer(transfer.app, name="transfer", rich_help_panel=_RUNS)
app.add_typer(mobility.app, name="mobility", rich_help_panel=_RUNS)
app.command(rich_help_panel=_RUNS)(report.report)
app.command(rich_help_panel=_RUNS)(files.inspect)


def _exit_status(error: GlideflowError) -> int:
    if isinstance(error, TerminatedError):
        return TERMINATED
    return FAILED if isinstance(error, properties.StageFailedError) else USER_ERROR


class _Terminated(BaseException):
    """SIGTERM: a scheduler (end of the wall time, scancel) or a person wants this process to end."""


def _terminate(number: int, frame: object) -> None:
    # Schedulers repeat themselves; a second signal must not break off the clean-up after the first.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise _Terminated


def main() -> None:
    """Run the command; errors of the user's making end in a message, not in a traceback.

    SIGTERM ends the engine's process, releases locks and removes temporary files before this process ends.
    """
    signal.signal(signal.SIGTERM, _terminate)
    try:
        app()
    except GlideflowError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(_exit_status(error))
    except _Terminated:
        print("ended by SIGTERM; finished partial results are kept", file=sys.stderr)
        sys.exit(TERMINATED)
    except KeyboardInterrupt:
        print("interrupted; finished partial results are kept", file=sys.stderr)
        sys.exit(INTERRUPTED)
    except BrokenPipeError:
        # The reader of our output (head, less) went away: nothing is wrong. Keep Python from complaining at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    main()
