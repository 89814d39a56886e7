"""Writes docs/cli.md from the help pages of `clem`: `python docs/build_cli.py [--check]`.

A test keeps the page equal to what the commands say (tests/cli/test_cli_docs.py).
"""

from __future__ import annotations

import sys
from pathlib import Path

import click

from clemcore.cli.app import SETTINGS, clem

PAGE = Path(__file__).parent / "cli.md"
WIDTH = 98  # what click makes of a terminal of 100 columns or more
HEAD = """# The command `clem`

Use `clem` to ask models, to check registries and records, and to see what would be sent. This page lists all
commands and options. `python docs/build_cli.py` writes it from the help texts in `python/clemcore/cli/`.

Data goes to standard output, everything else to standard error. In a pipe the output is plain: no colours, no
progress, and tables with tabs between their cells. Set `NO_COLOR` to turn colours off on a terminal.

| exit status | meaning |
|---|---|
| 0 | done |
| 1 | failed; a message on standard error says what is wrong and what to do (`CLEM_DEBUG=1` adds the traceback) |
| 2 | wrong usage; no such game or run, or none that can be read; `registry check`: a file that cannot be read |
| 130 | interrupted (Ctrl-C) |
| 141 | the reader of the output closed the pipe, as in `clem list models \\| head -1` |

`python -m clemcore` is the same command. `python -m clemcore SCRIPT.py [ARGUMENTS]` runs a script as
`python SCRIPT.py` does, but `import backends` means `clemcore.backends` in it, and so does
`python -m clemcore -m MODULE [ARGUMENTS]`. If the script starts other processes, start them in this way too if they
need this name.

Your shell can complete commands, options, models and backends. Put the line of your shell into its start-up file:

| shell | file | line |
|---|---|---|
| bash | `~/.bashrc` | `eval "$(_CLEM_COMPLETE=bash_source clem)"` |
| zsh | `~/.zshrc` | `eval "$(_CLEM_COMPLETE=zsh_source clem)"` |
| fish | `~/.config/fish/completions/clem.fish` | `_CLEM_COMPLETE=fish_source clem \\| source` |
"""


def build() -> str:
    """Build the text of the page."""
    return HEAD + "".join(_sections(clem, "clem", None))


def _sections(command: click.Command, path: str, parent: click.Context | None) -> list[str]:
    settings = {**SETTINGS, **command.context_settings, "terminal_width": WIDTH}
    with click.Context(command, info_name=path.rpartition(" ")[2], parent=parent, **settings) as context:
        sections = [f"\n## `{path}`\n```\n{command.get_help(context).rstrip()}\n```\n"]
        if isinstance(command, click.Group):
            for name in command.list_commands(context):
                below = command.get_command(context, name)
                if below is not None:
                    sections += _sections(below, f"{path} {name}", context)
    return sections


def main() -> int:
    """Write the page, or compare it."""
    page = build()
    if "--check" not in sys.argv[1:]:
        PAGE.write_text(page, encoding="utf-8")
    elif PAGE.read_text(encoding="utf-8") != page:
        print(f"{PAGE} is not what the commands say: run python docs/build_cli.py", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
