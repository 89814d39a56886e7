"""Whether an episode depends on its instance and its answers only: it is played several times and compared.

Episodes are played in two processes with different hash seeds, one after another and side by side. Run as a
program, this module is such a process. It does not know what a game is about.
"""

from __future__ import annotations

import ast
import itertools
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from clemcore.clemgame.checking.remarks import ERROR, WARNING, Remark
from clemcore.clemgame.plan import PlannedEpisode
from clemcore.clemgame.reading.spec import GameSpec

_SIDE_BY_SIDE = 8
_SHOWN = 60
# Calls whose results differ between processes, and those that depend on the hash seed or on the disk.
_CLOCKS = {"time", "time_ns", "perf_counter", "monotonic", "now", "today", "utcnow", "uuid1", "uuid4", "urandom"}
_CLOCKS |= {"SystemRandom", "token_hex", "getpid", "id", "getrandbits"}
_ORDERS = {
    "set",
    "frozenset",
    "hash",
    "listdir",
    "glob",
    "iterdir",
    "scandir",
    "intersection",
    "union",
    "difference",
}


class _Setting(NamedTuple):
    """How episodes are played: with a hash seed, and with this many live at once."""

    seed: str
    live: int


_SETTINGS = (_Setting("0", 1), _Setting("0", _SIDE_BY_SIDE), _Setting("1", 1))


def check_determinism(
    spec: GameSpec, episodes: Sequence[PlannedEpisode], *, seconds: float, files: Sequence[Path]
) -> Iterator[Remark]:
    """Play episodes in several ways, and report the first difference of each kind.

    Args:
        spec: the game.
        episodes: what to play.
        seconds: the most time for each way.
        files: the Python files of the game, in which a reason is looked for.
    """
    keys = [[each.key.experiment, each.key.game_id] for each in episodes]
    played: dict[_Setting, dict[str, Any]] = {}
    for setting in _SETTINGS:
        turns = _played(spec, keys, setting, seconds)
        if turns is None:
            return  # the trial says what is wrong
        played[setting] = turns
    alone, side_by_side, other = (played[setting] for setting in _SETTINGS)
    again = _played(spec, keys, _SETTINGS[0], seconds) if alone not in (side_by_side, other) else alone
    if again is not None and again != alone:
        what = "differs when it is played again, with the same instance and the same answers"
        yield _remark(ERROR, _difference(alone, again), what, _suspects(files, _CLOCKS))
        return
    if other != alone:
        what = "depends on the order of a set, a hash or a folder, which differs between processes"
        yield _remark(WARNING, _difference(alone, other), what, _suspects(files, _ORDERS))
    if side_by_side != alone:
        what = "differs when other episodes are played at the same time"
        yield _remark(ERROR, _difference(alone, side_by_side), what, [])


def _played(spec: GameSpec, keys: list[Any], setting: _Setting, seconds: float) -> dict[str, Any] | None:
    """Play episodes in a process of their own; return their turns, or None if that did not work."""
    order = {"spec": spec.to_dict(), "keys": keys, "live": setting.live}
    environment = {**os.environ, "PYTHONHASHSEED": setting.seed, "MPLBACKEND": "Agg"}
    with tempfile.TemporaryDirectory(prefix="clem-check-") as folder:
        try:
            done = subprocess.run(  # noqa: S603 - this module itself
                [sys.executable, "-m", __name__],
                input=json.dumps({**order, "folder": folder}),
                capture_output=True,
                text=True,
                env=environment,
                timeout=seconds,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return None
    if done.returncode or not done.stdout:
        return None
    turns: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return turns


def _difference(one: dict[str, Any], other: dict[str, Any]) -> str:
    """Return the first event that differs, with its place."""
    for name in dict.fromkeys([*one, *other]):
        pairs = itertools.zip_longest(_events(one.get(name)), _events(other.get(name)))
        for (turn, left), (_, right) in ((a or (0, None), b or (0, None)) for a, b in pairs):
            if left != right:
                return f"{name}, turn {turn}: {_shown(left, right)} and {_shown(right, left)}"
    return "its outcome"


def _events(turns: Any) -> Iterator[tuple[int, Any]]:
    for number, turn in enumerate(turns or ()):
        for event in turn:
            yield number, event


def _shown(event: Any, other: Any) -> str:
    """Return what is said in an event, from shortly before it differs from another."""
    if event is None:
        return "nothing"
    texts = [str((each or {}).get("action", {}).get("content")) for each in (event, other)]
    pairs = enumerate(zip(*texts, strict=False))
    same = next((at for at, (one, two) in pairs if one != two), min(map(len, texts)))
    start = max(0, same - _SHOWN // 2)
    return repr(("…" if start else "") + texts[0][start : start + _SHOWN])


def _remark(severity: str, difference: str, what: str, suspects: list[tuple[str, int, str]]) -> Remark:
    """Return a remark at the first place that may be the reason; the others are named in it."""
    message = f"an episode {what}: {difference}"
    if not suspects:
        return Remark(severity, message, "determinism")
    file, line, call = suspects[0]
    more = ", ".join(f"{path}:{number}" for path, number, _ in suspects[1:6])
    message += f". {call} in this line may be the reason" + (f"; others are in {more}" if more else "")
    help_ = {"set": "sort a set before you go through it"}.get(call, "draw with 'random', which is seeded")
    return Remark(severity, f"{message}: {help_}", "determinism", file, line)


def _suspects(files: Sequence[Path], names: set[str]) -> list[tuple[str, int, str]]:
    """Return the lines of a game's code, other than its generator, with calls that may be the reason."""
    found = []
    for path in files:
        if "generator" in path.name or path.name.startswith("test"):
            continue
        try:
            tree = ast.parse(path.read_bytes())
        except (OSError, SyntaxError, ValueError):
            continue
        for node in ast.walk(tree):
            if isinstance(node, (ast.Set, ast.SetComp)) and "set" in names:
                found.append((str(path), node.lineno, "set"))
            if isinstance(node, ast.Call):
                name = getattr(node.func, "attr", None) or getattr(node.func, "id", None)
                if name in names:
                    found.append((str(path), node.lineno, str(name)))
    return found


# -- the process that plays ------------------------------------------------------------------------------------
def _main() -> None:
    order = json.load(sys.stdin)
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    from clemcore.backends import get_model_for
    from clemcore.clemgame.engine import Options, play
    from clemcore.clemgame.plan import make_plan
    from clemcore.clemgame.store import RunReader, RunStore

    keys = {tuple(key) for key in order["keys"]}
    plan = make_plan([GameSpec.from_dict(order["spec"])])
    for game in plan:
        game.episodes = [each for each in game.episodes if (each.key.experiment, each.key.game_id) in keys]
    shuffle = 1 if order["live"] > 1 else None
    with RunStore.open(Path(order["folder"])) as store:
        play(plan, [get_model_for("mock")], store, Options(concurrency=order["live"], shuffle=shuffle))
    with RunReader(order["folder"]) as reader:
        turns = {str(key): _turns(reader.interactions(key)) for key in sorted(reader.states())}
    out.write(json.dumps(turns) + "\n")
    out.flush()


def _turns(text: bytes) -> Any:
    """Return the turns of an episode without times."""
    found = json.loads(text) if text else {}
    return [
        [{name: value for name, value in event.items() if name != "timestamp"} for event in turn]
        for turn in found.get("turns", [])
    ]


if __name__ == "__main__":
    _main()
