"""Options as 3.7.2 took them: with several values (``-g taboo wordle -m A B``), and with underscores.

Click's options take a fixed number of values. It does not know what the options mean.
"""

from __future__ import annotations

from typing import Any

import click


class GreedyCommand(click.Command):
    """A command some of whose options take every value up to the next option; ``--max_calls`` is ``--max-calls``.

    Args:
        greedy: the options' names on the command line, and whether they may stand without a value.
        file_suffixes: a value with such an ending is the command's argument instead.
    """

    def __init__(
        self, *args: Any, greedy: dict[str, bool] | None = None, file_suffixes: tuple[str, ...] = (), **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self._greedy = greedy or {}
        self._file_suffixes = file_suffixes

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Repeat the option before each of its values."""
        return super().parse_args(ctx, self._spread(args))

    def _spread(self, args: list[str]) -> list[str]:
        found: list[str] = []
        files: list[str] = []
        rest = list(args)
        while rest:
            name = rest.pop(0)
            if name == "--":
                return [*found, "--", *files, *rest]
            if name.startswith("--"):
                plain, equals, value = name.partition("=")
                name = plain.replace("_", "-") + equals + value
            if name not in self._greedy:
                found.append(name)
                continue
            values: list[str] = []
            while rest and not rest[0].startswith("-"):
                value = rest.pop(0)
                (files if value.endswith(self._file_suffixes) and self._file_suffixes else values).append(value)
            if not values:
                if not self._greedy[name]:
                    raise click.UsageError(f"Option '{name}' requires an argument.")
                values = [""]
            for value in values:
                found += [name, value]
        return [*found, *files]
