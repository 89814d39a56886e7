"""Writes one row per episode and per call into Parquet or JSON Lines files, for pandas, DuckDB, Polars and others.

Rows are read and written in batches, so memory stays bounded. Parquet needs pyarrow (extra ``results``). It does
not know what metrics mean.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import importlib.util
import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clemcore.calls.encoding import FACTS
from clemcore.errors import StoreError

if TYPE_CHECKING:
    from clemcore.clemgame.layout.episodes import Episode
    from clemcore.clemgame.store.contents import StoredCall

EPISODES, CALLS = "episodes.parquet", "calls.parquet"
_ROWS = 2_000
_SCOPE = {"run": "string", "game": "string", "experiment": "string", "game_id": "int64", "epoch": "int32"}
# Name and type of each column; "metrics" is a map from names to numbers.
_OF_EPISODES = {
    **_SCOPE,
    **dict.fromkeys(("state", "ended", "error_type", "error_message"), "string"),
    **dict.fromkeys(("models", "arguments"), "strings"),
    "is_scored": "bool",
    **dict.fromkeys(("main_score", "aborted", "lose", "success"), "float64"),
    "metrics": "metrics",
    **dict.fromkeys(("rounds", "calls", "failed_calls"), "int32"),
    **dict.fromkeys(("input_tokens", "output_tokens"), "int64"),
    **dict.fromkeys(("usd", "seconds"), "float64"),
    **dict.fromkeys(("instance_sha256", "interactions_sha256"), "string"),
    **dict.fromkeys(("code_sha256", "resources_sha256", "instances_sha256"), "string"),
}
_OF_CALLS = {
    **_SCOPE,
    **{"number": "int32", "player": "string", "round": "int32", "kind": "string", "attempt": "int32"},
    **{"model": "string", "arguments": "string", "outcome": "string", "finish_reason": "string"},
    **{"error_type": "string", "input_tokens": "int64", "output_tokens": "int64", "reasoning_tokens": "int64"},
    **{"usd": "float64", "seconds": "float64", "timestamp": "string"},
    **{"request_sha256": "string", "record_sha256": "string"},
}


def is_available() -> bool:
    """Tell whether pyarrow is installed, without importing it."""
    return importlib.util.find_spec("pyarrow") is not None


def write_parquet(
    path: Path, to: Path | None = None, *, model: str | None = None, game: str | None = None
) -> tuple[list[Path], list[tuple[Path, str]]]:
    """Write ``episodes.parquet`` and ``calls.parquet`` of all episodes below a folder into it.

    With ``model`` or ``game``, files that are there are brought up to date: the rows of the selection are replaced
    by what is there now. If there are none, or they have other columns, all episodes are read.

    Args:
        path: a run, or a folder that holds some.
        to: the folder for the files; by default ``path``.
        model: read only line-ups with this text in their name.
        game: read only this game.

    Returns:
        The files, and the folder of each episode or run that cannot be read, with the reason.

    Raises:
        StoreError: there are no episodes.
        OSError: a file cannot be written; an old one is as it was.
    """
    to = path if to is None else to
    files = [to / EPISODES, to / CALLS]
    with _Table(files[0], _OF_EPISODES) as episodes, _Table(files[1], _OF_CALLS) as calls:
        chosen = (model, game) if episodes.has_old() and calls.has_old() else (None, None)
        if chosen != (None, None):
            episodes.keep(*chosen)
            calls.keep(*chosen)
        return files, _write_rows(path, episodes, calls, *chosen)


def write_jsonl(path: Path, to: Path) -> tuple[list[Path], list[tuple[Path, str]]]:
    """Write the same rows as :func:`write_parquet` into ``episodes.jsonl`` and ``calls.jsonl``.

    Args:
        path: a run, or a folder that holds some.
        to: the folder for the files.

    Returns:
        The files, and the folder of each episode or run that cannot be read, with the reason.

    Raises:
        StoreError: there are no episodes.
        OSError: a file cannot be written; an old one is as it was.
    """
    files = [to / "episodes.jsonl", to / "calls.jsonl"]
    with _Lines(files[0]) as episodes, _Lines(files[1]) as calls:
        return files, _write_rows(path, episodes, calls)


def _is_chosen(run: str, of_game: str, model: str | None, game: str | None) -> bool:
    return (model is None or model in run) and game in (None, of_game)


def _write_rows(
    path: Path,
    episodes: _Table | _Lines,
    calls: _Table | _Lines,
    model: str | None = None,
    game: str | None = None,
) -> list[tuple[Path, str]]:
    """Write the rows of chosen episodes; return the folder of each one that cannot be read, with the reason.

    If a store cannot be read, the folder of its run is among them.
    """
    from clemcore.clemgame.layout.episodes import all_readable

    problems: list[tuple[Path, str]] = []
    hashes: dict[Path, dict[str, Any]] = {}
    for episode in all_readable(path, problems):
        if not _is_chosen(episode.line_up, episode.key.game, model, game):
            continue
        if episode.run not in hashes:
            hashes[episode.run] = _hashes_of(episode.run)
        try:
            made = [_call_row(episode, call) for call in episode.own_calls()]
            row = _episode_row(episode, made, hashes[episode.run].get(episode.key.game, {}))
        except (StoreError, ValueError, TypeError, AttributeError) as fault:
            problems.append((episode.folder, str(fault)))
            continue
        episodes.add(row)
        for call_row in made:
            calls.add(call_row)
    return problems


class _Table(contextlib.AbstractContextManager["_Table"]):
    """A Parquet file that is written in batches of rows, and replaces an old one when it is whole."""

    def __init__(self, path: Path, columns: Mapping[str, str]) -> None:
        arrow: Any = importlib.import_module("pyarrow")
        kinds = {"strings": arrow.list_(arrow.string()), "metrics": arrow.map_(arrow.string(), arrow.float64())}
        kinds |= {"bool": arrow.bool_()}
        fields = [(name, kinds.get(kind) or getattr(arrow, kind)()) for name, kind in columns.items()]
        self._path = path
        self._temporary = path.with_name(f".{path.name}.new")
        self._schema = arrow.schema(fields)
        self._batch, self._array = arrow.RecordBatch, arrow.array
        self._rows: list[dict[str, Any]] = []
        self._parquet: Any = importlib.import_module("pyarrow.parquet")
        self._writer = self._parquet.ParquetWriter(str(self._temporary), self._schema, compression="zstd")

    def has_old(self) -> bool:
        """Tell whether the file that is there has the same columns, so that rows of it can be kept."""
        try:
            return bool(self._parquet.read_schema(str(self._path)).equals(self._schema))
        except (OSError, ValueError):  # there is none, or it is torn
            return False

    def keep(self, model: str | None, game: str | None) -> None:
        """Add the rows of the file that is there, without those of a selection."""
        with self._parquet.ParquetFile(str(self._path)) as old:
            for batch in old.iter_batches(_ROWS):
                names = zip(batch.column("run").to_pylist(), batch.column("game").to_pylist(), strict=True)
                self._writer.write_batch(
                    batch.filter(self._array([not _is_chosen(*each, model, game) for each in names]))
                )

    def add(self, row: dict[str, Any]) -> None:
        """Add a row."""
        self._rows.append(row)
        if len(self._rows) >= _ROWS:
            self._flush()

    def _flush(self) -> None:
        if self._rows:
            self._writer.write_batch(self._batch.from_pylist(self._rows, schema=self._schema))
            self._rows = []

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Replace the old file, unless something went wrong."""
        try:
            if kind is None:
                self._flush()
            self._writer.close()
            if kind is None:
                self._temporary.replace(self._path)
        finally:
            self._temporary.unlink(missing_ok=True)


class _Lines(contextlib.AbstractContextManager["_Lines"]):
    """A file of JSON Lines that replaces an old one when it is whole."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._temporary = path.with_name(f".{path.name}.new")
        self._file = self._temporary.open("wb")

    def add(self, row: dict[str, Any]) -> None:
        """Add a row. A number that is not finite becomes null, because JSON has none."""
        if "metrics" in row:
            row = {**row, "metrics": {name: _finite(value) for name, value in row["metrics"]}}
        plain = {name: _finite(value) for name, value in row.items()}
        self._file.write(json.dumps(plain, allow_nan=False).encode() + b"\n")

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Replace the old file, unless something went wrong."""
        self._file.close()
        try:
            if kind is None:
                self._temporary.replace(self._path)
        finally:
            self._temporary.unlink(missing_ok=True)


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _scope_of(episode: Episode) -> dict[str, Any]:
    key = episode.key
    return {
        "run": _text(episode.line_up),
        "game": _text(key.game),
        "experiment": _text(key.experiment),
        "game_id": key.game_id,
        "epoch": key.epoch,
    }


def _episode_row(episode: Episode, calls: list[dict[str, Any]], hashes: Mapping[str, Any]) -> dict[str, Any]:
    interactions = episode.interactions
    models = list(_models_of(episode.player_models))
    scores = episode.scores
    metrics = dict(_numbers((scores or {}).get("episode scores") or {}))
    error = episode.error or {}
    of_models = [call for call in calls if call["kind"] == "model"]
    return {
        **_scope_of(episode),
        "state": episode.state,
        "models": [name for name, _ in models],
        "arguments": [arguments for _, arguments in models],
        "is_scored": scores is not None,
        "main_score": metrics.get("Main Score"),
        "aborted": metrics.get("Aborted"),
        "lose": metrics.get("Lose"),
        "success": metrics.get("Success"),
        "metrics": list(metrics.items()),
        "rounds": len(interactions.get("turns") or ()),
        "calls": len(of_models),
        "failed_calls": sum(call["error_type"] is not None for call in of_models),
        **{name: _sum_of(of_models, name) for name in ("input_tokens", "output_tokens", "usd", "seconds")},
        "ended": episode.ended,
        "error_type": _text(error.get("type") or error.get("limit")),
        "error_message": _text(error.get("message")),
        "instance_sha256": _sha256(episode.instance),
        "interactions_sha256": _sha256(interactions) if interactions else None,
        **{f"{name}_sha256": _text(hashes.get(name)) for name in ("code", "resources", "instances")},
    }


def _models_of(about: Any) -> Iterator[tuple[str, str]]:
    """Give name and arguments of the model of each role."""
    infos = about if isinstance(about, Mapping) else {}
    for _, info in sorted(infos.items()):
        of = info if isinstance(info, Mapping) else {}
        spec = of.get("model_spec", of)  # 3.3: only the specification
        name = spec.get("model_name") if isinstance(spec, Mapping) else spec
        yield _text(name) or "", _text(_json(of.get("gen_args") or {})) or ""


def _numbers(scores: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    for name, value in scores.items():
        if isinstance(value, (bool, int, float)):
            yield _text(name) or "", _float(value)


def _sum_of(calls: list[dict[str, Any]], name: str) -> Any:
    """Return a sum over calls, or None if no call says."""
    known = [call[name] for call in calls if call[name] is not None]
    return sum(known) if known else None


def _call_row(episode: Episode, call: StoredCall) -> dict[str, Any]:
    record = json.loads(call.record)
    facts = record.get(FACTS) if isinstance(record, dict) else None
    facts = facts if isinstance(facts, dict) else {}
    usage, cost = _part(facts, "usage"), _part(facts, "cost")
    arguments, spec = _part(facts, "gen_args"), _part(facts, "model_spec")
    player = record.get("raw_response_obj") if isinstance(record, dict) else None
    said = _part(player if isinstance(player, dict) else {}, "clem_player")
    return {
        **_scope_of(episode),
        "number": call.number,
        "player": call.player,
        "round": call.round,
        "kind": call.kind,
        "attempt": call.attempt,
        "model": _text(spec.get("model_name") or said.get("model_name")),
        "arguments": _text(_json(arguments.get("sent") or arguments.get("all") or {})),
        "outcome": _text(facts.get("outcome")) or ("error" if "error" in facts else None),
        "finish_reason": _text(facts.get("finish_reason")),
        "error_type": _text(_part(facts, "error").get("type")),
        **{name: _whole(usage.get(name)) for name in ("input_tokens", "output_tokens", "reasoning_tokens")},
        "usd": _number(cost.get("usd")),
        "seconds": _number(facts.get("duration_seconds", said.get("call_duration"))),
        "timestamp": _text(record.get("timestamp")),
        "request_sha256": call.request or None,
        "record_sha256": hashlib.sha256(call.record).hexdigest(),
    }


def _part(value: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    part = value.get(name)
    return part if isinstance(part, Mapping) else {}


def _text(value: Any) -> str | None:
    """Return a value as text; half a character, which Parquet cannot hold, becomes a question mark."""
    return None if value is None else str(value).encode("utf-8", "replace").decode("utf-8")


def _whole(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _number(value: Any) -> float | None:
    return _float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def _float(value: float) -> float:
    """Return a number as a float; an integer that is too large becomes infinite, as in ``raw.csv``."""
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def _sha256(value: Any) -> str:
    """Return the hash of a value as sorted, compact JSON, which does not depend on the layout of the results."""
    return hashlib.sha256(_json(value).encode("utf-8", "surrogatepass")).hexdigest()


def _hashes_of(run: Path) -> dict[str, Any]:
    """Return the hashes of the games of a run, by game, as its ``run.json`` has them."""
    with contextlib.suppress(OSError, ValueError, LookupError, TypeError, AttributeError):
        about = json.loads((run / "run.json").read_bytes())["clemcore"]
        games: dict[str, Any] = {
            name: each.get("sha256", {}) for name, each in about.get("games", {}).items() if isinstance(each, dict)
        }
        return games
    return {}
