"""Writes a new game from a template: it runs, scores and tests itself.

It does not know how games are played.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from clemcore.errors import GameError

_TEMPLATE = Path(__file__).parent / "game"
_NAME = re.compile(r"[a-z][a-z0-9_]*")
_LANGUAGE = re.compile(r"[a-z]{2,3}")
# Names whose classes clemcore has already.
_TAKEN = frozenset({"game", "dialogue_game"})
_LONGEST = 60
WRITTEN_IN = ("en", "de")


def new_game(
    name: str, folder: Path, *, players: int = 1, images: bool = False, languages: Sequence[str] = ("en",)
) -> Path:
    """Write a new game and its instances, and return its folder.

    Args:
        name: the name of the game, and of its folder.
        folder: where the folder is made.
        players: 1 or 2.
        images: whether a player sees pictures.
        languages: codes of ISO 639; texts in languages other than English and German are in English at first.

    Raises:
        GameError: the name or a language is invalid, or there is such a folder already.
        OSError: a file cannot be written.
    """
    _check(name, folder, languages)
    target = folder / name
    flags = {"two" if players > 1 else "one"} | ({"images"} if images else set())
    class_name = "".join(part.capitalize() for part in name.split("_"))
    title = " ".join(part.capitalize() for part in name.split("_") if part)
    values = {"name": name, "class": class_name, "title": title, "players": str(players)}
    values["languages"] = json.dumps(list(languages))
    # The folder gets its name when the game is whole.
    made = folder / f".{name}.new"
    shutil.rmtree(made, ignore_errors=True)
    try:
        for source in sorted(_TEMPLATE.glob("*.txt")):
            _write(made / source.name.removesuffix(".txt"), fill(source.read_text("utf-8"), flags, values))
        _write(made / "clemgame.json", json.dumps(_spec(name, players, images, languages), indent=2) + "\n")
        for language in languages:
            _write_texts(made / "resources" / language, language, players, images)
        _generate(made)
        made.rename(target)
    finally:
        shutil.rmtree(made, ignore_errors=True)
    return target


def _check(name: str, folder: Path, languages: Sequence[str]) -> None:
    if not _NAME.fullmatch(name) or len(name) > _LONGEST or name.endswith("_"):
        better = re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_0123456789")[:_LONGEST] or "my_game"
        raise GameError(
            f"{name!r} is not a name for a game: use up to {_LONGEST} small letters, digits and underscores, and "
            f"begin with a letter, such as '{better}'"
        )
    if name in _TAKEN:
        raise GameError(f"a game cannot be called {name!r}, because its classes would hide those of clemcore")
    if (folder / name).exists():
        raise GameError(f"{folder / name} exists already and is left as it is: choose another name")
    for language in languages:
        if not _LANGUAGE.fullmatch(language):
            raise GameError(f"{language!r} is not a language: use codes of ISO 639, such as --languages en,de")


def _spec(name: str, players: int, images: bool, languages: Sequence[str]) -> dict[str, object]:
    return {
        "game_name": name,
        "description": "One player finds a secret number" + (" with hints of the other." if players > 1 else "."),
        "main_game": name,
        "players": players,
        "image": "single" if images else "none",
        "languages": list(languages),
        "roles": ["Guesser", "Hinter"][:players],
    }


def _write_texts(folder: Path, language: str, players: int, images: bool) -> None:
    source = _TEMPLATE / "resources" / (language if language in WRITTEN_IN else "en")
    alone_with_pictures = images and players == 1
    guesser = "guesser.one_images.template" if alone_with_pictures else "guesser.one.template"
    _write(folder / "guesser.template", (source / guesser).read_text("utf-8"))
    texts = json.loads((source / "texts.json").read_text("utf-8"))
    if players > 1:
        hinter = "hinter.two_images.template" if images else "hinter.two.template"
        _write(folder / "hinter.template", (source / hinter).read_text("utf-8"))
    else:
        del texts["hint_tag"], texts["ask"]
    _write(folder / "texts.json", json.dumps(texts, indent=2, ensure_ascii=False) + "\n")


def _generate(folder: Path) -> None:
    done = subprocess.run(
        [sys.executable, "instancegenerator.py"], cwd=folder, capture_output=True, text=True, check=False
    )
    shutil.rmtree(folder / "__pycache__", ignore_errors=True)
    if done.returncode:
        raise GameError(f"the instances of the new game could not be made: {done.stderr.strip()[-500:]}")


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def fill(text: str, flags: set[str], values: dict[str, str]) -> str:
    r"""Fill in a template of a source file.

    Args:
        text: lines; those between ``#: if FLAG [and FLAG]``, ``#: else`` and ``#: end`` depend on the flags.
        flags: the flags that hold.
        values: what ``$name`` and ``$(name)`` stand for; other names stay as they are.

    Examples:
        >>> fill("#: if one\na\n#: else\nb\n#: end\n$(class)Scorer, $guess", {"one"}, {"class": "Hunt"})
        'a\nHuntScorer, $guess'
    """
    kept: list[str] = []
    holds: list[bool] = []
    for line in text.split("\n"):
        word, _, condition = line.removeprefix("#: ").partition(" ")
        if not line.startswith("#: "):
            if all(holds):
                kept.append(line)
        elif word == "if":
            holds.append(set(condition.split(" and ")) <= flags)
        elif word == "else":
            holds[-1] = not holds[-1]
        else:
            holds.pop()

    def value(found: re.Match[str]) -> str:
        return values.get(found[1] or found[2], found[0])

    return re.sub(r"\$(?:\((\w+)\)|(\w+))", value, "\n".join(kept))
