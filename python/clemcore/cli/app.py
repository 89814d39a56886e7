"""The command group of ``clem``, and how every command ends: its exit status and its one error message.

It knows the names of the commands and nothing of what they do; each is imported when it is asked for.
"""

from __future__ import annotations

import importlib
import io
import logging
import os
import select
import sys
from pathlib import Path
from typing import Any

import click

from clemcore import secrets
from clemcore._core import __version__
from clemcore.cli.inputs import examples
from clemcore.cli.terminal import Styled, is_terminal, note
from clemcore.errors import ClemcoreError, GameError, RunError, StoreError

# Command, the module that has it, as an object of the same name (``list`` would hide Python's own), and what it
# does, so that `clem --help` need not import them.
COMMANDS = {
    "respond": ("respond.respond", "Ask a model once and print its answer."),
    "chat": ("chat.chat", "Talk to a model, line by line."),
    "render": ("render.render", "Show exactly what a model would be sent; send nothing."),
    "prove": ("prove.prove", "Compare our prompts with those of transformers."),
    "list": ("listing.list_", "List models, games, instances, backends or keys."),
    "register": ("register.register", "Write a model's entry, or a backend's key, into its file."),
    "registry": ("registry.registry", "Check and explain model registries."),
    "doctor": ("doctor.doctor", "Show all that a call of a model would use; send nothing."),
    "fit": ("fit.fit", "Show in which formats a local model fits the memory."),
    "weights": ("weights.weights", "See, download and remove the weights of the hub's models on this machine."),
    "config": ("config.config", "Show or change what clem keeps in ~/.clemcore/config.json."),
    "cache": ("cache.cache", "See and clear the answers that were kept of services."),
    "verify": ("verify.verify", "Check a record: hashes, structure, order of times."),
    "new": ("new.new", "Make a new game, or fresh instances of a game."),
    "check": ("check.check", "Check games before they are run."),
    "run": ("running.run", "Play games with models; continue what was interrupted."),
    "score": ("scores.score", "Compute the scores of completed episodes."),
    "eval": ("evaluating.eval_", "Compute the tables of scores."),
    "compare": ("compare.compare", "Compare models on the instances that they share."),
    "transcribe": ("transcribe.transcribe", "Write transcripts of episodes, as HTML and TeX."),
    "page": ("page.page", "Write results as a page for browsers."),
    "view": ("view.view", "Show results in a browser, also of a run in progress."),
    "status": ("status.status", "Show how far a run is."),
    "merge": ("merge.merge", "Put the shards of a run together into one file."),
    "replay": ("replay.replay", "Play a run again from its record, and compare."),
    "export": ("export.export", "Write the episodes of RUN as training data, as tables, or in the classic layout."),
    "serve": ("serving.serve", "Serve a game to trainers."),
    "audit": ("audit.audit", "Measure how far answers of a local model move."),
    "compare-engines": ("compare_engines.compare_engines", "Compare a model on two engines."),
    "serve-hint": ("serve_hint.serve_hint", "Show how to serve a model with vLLM."),
    "bench": ("bench.bench", "Measure how fast a local model is."),
}

# Of a wrong usage, click's exceptions bring their own (2).
FAILED, REFUSED, INTERRUPTED, READER_GONE = 1, 2, 130, 141

SETTINGS: dict[str, Any] = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


class LazyGroup(click.Group):
    """A group whose commands are imported when they are used."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Return the names in the order in which a newcomer needs them."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import one command."""
        if cmd_name not in COMMANDS:
            return None
        module, _, name = COMMANDS[cmd_name][0].partition(".")
        command: click.Command = getattr(importlib.import_module(f"clemcore.cli.{module}"), name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """List the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Complain about an unknown command with the nearest one."""
        if args and args[0] not in COMMANDS:
            import difflib

            near = difflib.get_close_matches(args[0], COMMANDS, n=1)
            hint = f" Did you mean '{near[0]}'?" if near else f" There are: {', '.join(COMMANDS)}."
            ctx.fail(f"No such command '{args[0]}'.{hint}")
        return super().resolve_command(ctx, args)


@click.command(
    "clem",
    cls=LazyGroup,
    context_settings=SETTINGS,
    epilog=examples(
        "clem list models                          the models that the registry names",
        'clem respond -m mock "Hello!"             one question, one answer',
        "clem respond -m MODEL dialogue.json --record requests.json",
        "clem chat -m MODEL                        a dialogue in the terminal",
        "clem registry check                       faults of ./model_registry.json",
        "clem run -g taboo -m MODEL                play a game, or continue it",
        "clem score                                score what was played",
    ),
)
@click.version_option(__version__, message="clem %(version)s")
@click.option("--debug", is_flag=True, help="Show the traceback of an error (also: CLEM_DEBUG=1).")
def clem(debug: bool) -> None:
    """Ask any chat model, local or remote, by its name in the model registry, and let models play games."""


def run(arguments: list[str]) -> int:
    """Run a command line and return its exit status; errors become one message on standard error."""
    _open_closed_streams()
    logging.lastResort = _Warnings(logging.WARNING)
    for stream in (sys.stdout, sys.stderr):
        # Half a character of a model's answer, or a terminal without UTF-8, must not end the command.
        getattr(stream, "reconfigure", lambda **_: None)(errors="backslashreplace")
    try:
        if "_CLEM_COMPLETE" in os.environ:  # the shell asks what could come next
            clem.main(arguments, prog_name="clem")
        status = _invoke(arguments)
        sys.stdout.flush()  # here, where a fault can still be told from a reader who has seen enough
    except (click.Abort, KeyboardInterrupt):
        return _interrupted()
    except Exception as error:  # noqa: BLE001 - the last place that sees it
        return failed(error)
    return status


class _Warnings(logging.Handler):
    """Shows warnings as notes, where no custom backend has configured logging."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write the message; it may hold words of a server."""
        note(secrets.scrub(self.format(record)))


def _open_closed_streams() -> None:
    """Put the null device where a stream was closed (``<&-``, ``>&-``), before a file of ours takes its number."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open(mode, encoding="utf-8"))  # noqa: SIM115 - as long as we run


def _invoke(arguments: list[str]) -> int:
    """Do what ``click.Command.main`` does, without its own way of ending a program."""
    debug = os.environ.get("CLEM_DEBUG", "").lower() not in ("", "0", "false", "no", "off")
    try:
        with clem.make_context("clem", list(arguments), obj=tuple(arguments)) as context:
            debug = debug or context.params["debug"]
            status = clem.invoke(context)
    except click.exceptions.Exit as exit_:
        return exit_.exit_code
    except (click.ClickException, click.Abort):
        raise
    except Exception as error:
        if debug and not _is_broken_pipe(error):
            import traceback

            note(secrets.scrub("".join(traceback.format_exception(error)).rstrip()))
            return FAILED
        raise
    return status if isinstance(status, int) else 0


def _interrupted() -> int:
    if is_terminal(sys.stderr):
        note("")  # closes the line with the terminal's own ^C
    return INTERRUPTED


def failed(error: Exception) -> int:
    """Say what went wrong, in one message, and return the exit status."""
    if _is_broken_pipe(error):
        return _silenced()
    try:
        sys.stdout.flush()  # what was said before the error
    except OSError:
        _mute(1)  # a full disk takes no more; the error itself says so
    try:
        if isinstance(error, click.ClickException):  # click's own texts: wrong usage, with a hint at --help
            text = io.StringIO()
            error.show(text)
            note(text.getvalue().rstrip())
            return error.exit_code
        note(Styled("clem:", "red"), f" {secrets.scrub(message_of(error)).rstrip()}")
    except OSError:
        return _silenced()
    # A game or a run that does not exist is refused by all commands with the status that 'clem run' has for it.
    return REFUSED if isinstance(error, (GameError, RunError, StoreError)) else FAILED


def message_of(error: Exception) -> str:
    """Say what went wrong in one message, without a traceback."""
    if isinstance(error, ClemcoreError):
        return str(error)
    if isinstance(error, ModuleNotFoundError) and isinstance(error.__cause__, ModuleNotFoundError):
        return str(error)  # of a backend's file, which it names
    if isinstance(error, FileNotFoundError) and error.filename is None:  # what os.getcwd raises
        return "the working directory does not exist any more: change into one that does"
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename is not None else error.strerror
    if isinstance(error, EOFError) and str(error):
        return str(error)
    return f"unexpected {type(error).__name__}: {error}\n  CLEM_DEBUG=1 shows where it happened"


def _is_broken_pipe(error: Exception) -> bool:
    """Tell whether the reader of our own output went away; a backend's broken connection is another matter."""
    return isinstance(error, BrokenPipeError) and (_reader_is_gone(1) or _reader_is_gone(2))


def _reader_is_gone(handle: int) -> bool:
    poll = select.poll()
    poll.register(handle, 0)
    return any(event & (select.POLLERR | select.POLLHUP) for _, event in poll.poll(0))


def _silenced() -> int:
    """Let the interpreter's own flush at exit go nowhere; nobody would read the complaint either."""
    for handle in (1, 2):
        if _reader_is_gone(handle):
            _mute(handle)
    return READER_GONE


def _mute(handle: int) -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), handle)
