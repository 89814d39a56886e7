"""Hostile names on a terminal: no escape sequence reaches it, and no line begins a command to a CI system."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.clem import Terminals
from support.shown_runs import HOSTILE, Texts, folder_of, name_of, write_run

COMMANDS = (
    ("eval", "--no-parquet", "--pairs", "--costs", "--excel"),
    ("compare", "--across", "results/{0}", "results/{1}"),
    ("status", "results/{0}"),
    ("score", "results"),
    ("transcribe",),
    ("page", "results"),
    ("export", "results", "-o", "exported"),
    ("fsck", "results/{0}"),
)


@pytest.mark.slow
@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])
def test_no_text_of_results_steers_the_terminal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, terminal: Terminals, command: tuple[str, ...]
) -> None:
    monkeypatch.chdir(tmp_path)
    texts = ("\x1b]0;owned\x07\x1b[2J\x9b31m\r\n::error::x", *HOSTILE)
    names = [f"::error {number}\x1b[31m\n::error::{folder_of(text)}" for number, text in enumerate(texts[:2])]
    for name in names:
        states = ("played", "error", "limit", "planned")
        episodes = [
            Texts(name_of(text), name_of(text), text, text, text, at, state=states[at % 4])
            for at, text in enumerate(texts)
        ]
        for at, each in enumerate(episodes):
            each.scores |= {texts[at]: texts[at], "Winner": 1}
        write_run(Path("results", name), episodes)
        Path("results", name, "torn\x1b[2J\n::error::y").mkdir()
        Path("results", name, "torn\x1b[2J\n::error::y", "scores.json").write_text("{")
    started = terminal(*(part.format(*names) for part in command), COLUMNS="80")
    started.end()
    assert started.shown.strip()
    assert "Traceback" not in started.shown
    # What clem itself sends, such as colours, has a plain form that names cannot have.
    for sent in ("\x1b]", "\x1b[2J", "\x1b[31m\n", "\x9b", "\x07", "\x00", "\u202e", "\u2066"):
        assert sent not in started.shown, sent
    assert not [line for line in started.shown.splitlines() if line.startswith("::")]
