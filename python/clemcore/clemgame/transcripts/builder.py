"""Writes ``transcript.html`` and ``transcript.tex`` beside the interactions of episodes.

The core renders them. It does not know what a message means.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clemcore._core import transcript
from clemcore.clemgame.layout.jsonfile import write_changed, write_whole
from clemcore.clemgame.legacy.passed_on import passed_on
from clemcore.clemgame.transcripts.calls import CallFields, fields_of
from clemcore.clemgame.transcripts.encoding import encoded
from clemcore.clemgame.transcripts.pictures import read_images, roots_of
from clemcore.errors import ClemcoreError, RunError, StoreError

if TYPE_CHECKING:
    from clemcore.clemgame.layout.episodes import Episode

if not TYPE_CHECKING:  # programs for 3.7.2 may import these names from here
    __getattr__ = passed_on(__name__, "load_json", "store_file")

HTML, TEX = "transcript.html", "transcript.tex"
_logger = logging.getLogger(__name__)


@dataclass
class Transcribed:
    """What was written.

    Attributes:
        episodes: how many episodes have transcripts now.
        left_out: how many episodes did not end, and have none.
        failed: how many episodes ended, and have none because they cannot be read.
        problems: the place of each episode that has no transcript, or one without calls, and of each run that
            cannot be read, with the reason.
    """

    episodes: int = 0
    left_out: int = 0
    failed: int = 0
    problems: list[tuple[Path, str]] = field(default_factory=list)


def transcribe(path: Path | str, games: Collection[str] = ()) -> Transcribed:
    """Write the transcripts of all completed episodes of a run, or of all runs in a folder.

    Args:
        path: the folder.
        games: transcribe only these games; by default all.

    Raises:
        RunError: there is no episode of these games.
        StoreError: there are no episodes.
        OSError: a file cannot be written.
    """
    from clemcore.clemgame.layout.episodes import all_readable

    done = Transcribed()
    roots: dict[Path, list[Path]] = {}
    for episode in all_readable(path, done.problems):
        if games and episode.key.game not in games:
            continue
        if episode.state != "played":
            done.left_out += 1
            continue
        if episode.run not in roots:
            roots[episode.run] = roots_of(episode.run)
        try:
            interactions = _interactions_of(episode)
            pages = _rendered(interactions, roots[episode.run], _calls_of(episode, done.problems))
        except StoreError as fault:
            done.problems.append((episode.folder, str(fault)))
            done.failed += 1
            continue
        for name, page in zip((HTML, TEX), pages, strict=True):
            write = write_changed if episode.has_file(name) else write_whole
            write(f"{episode.path}/{name}", page)
        done.episodes += 1
    if games and not (done.episodes or done.left_out or done.problems):
        named = ", ".join(sorted(games))
        raise RunError(f"{path} has no episode of {named}; without -g, all games are transcribed")
    return done


def build_transcripts(top_dir: str | Path, filter_games: list[str] | None = None) -> None:
    """Write the transcripts of all completed episodes below a folder.

    Args:
        top_dir: a run, or a folder that holds some.
        filter_games: transcribe only these games; by default all.
    """
    for place, text in transcribe(top_dir, filter_games or ()).problems:
        _logger.error("cannot transcribe %s: %s", place, text)


def build_transcript(interactions: Mapping[str, Any]) -> str:
    """Return the content of ``transcript.html``.

    Args:
        interactions: the content of ``interactions.json``. Images are read from ``$IMAGE_ROOT`` and from the
            working directory only.
    """
    return _rendered(encoded(interactions), roots_of(Path.cwd()))[0].decode()


def build_tex(interactions: Mapping[str, Any]) -> str:
    """Return the content of ``transcript.tex``.

    Args:
        interactions: the content of ``interactions.json``.
    """
    return transcript(encoded(interactions), _no_images)[1].decode()


def _calls_of(episode: Episode, problems: list[tuple[Path, str]]) -> list[CallFields]:
    """Return the calls of an episode; if they cannot be read, the transcript shows the messages alone."""
    try:
        return fields_of(episode.calls())
    # Files of older releases can hold anything where a record should be.
    except (ClemcoreError, OSError, ValueError, LookupError, TypeError, AttributeError) as fault:
        problems.append((episode.folder, f"its calls are not shown: {fault}"))
        return []


def _interactions_of(episode: Episode) -> bytes:
    data = episode.interactions_json()
    # 1.x does not say everything; its reader adds what the folders say.
    return data if b'"game_name"' in data else encoded(episode.interactions)


def _rendered(interactions: bytes, roots: list[Path], calls: list[CallFields] | None = None) -> tuple[bytes, bytes]:
    find_images = partial(read_images, roots=roots)
    try:
        return transcript(interactions, find_images, calls or [])
    except ValueError:
        # Python reads more than JSON, such as the NaN of 3.7.2 and half a character.
        try:
            read = encoded(json.loads(interactions))
        except ValueError as fault:
            raise StoreError(f"interactions.json is not JSON: {fault}") from None
        return transcript(read, find_images, calls or [])


def _no_images(_: list[str]) -> dict[str, str]:
    return {}
