"""The card of training data: from which runs it comes, hashes, licences, and what was left out.

It is a ``README.md`` as `datasets` reads it: the head names the files of each split.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from clemcore.clemgame.layout.runs import find_runs

CARD = "README.md"
_WHAT = {
    "sft": "Conversations: one row for each player of an episode.",
    "rollouts": "Rollouts: one row for each turn, with the token ids that were sent and received.",
    "dpo": "Preference pairs: two answers to the same prompt, with the difference of their rewards.",
}


def card_of(
    path: Path,
    kind: str,
    rows: Mapping[str, int],
    hashes: Mapping[str, str],
    notes: Sequence[str],
    *,
    reward: str,
    canary: str | None,
) -> str:
    """Return the text of the card.

    Args:
        path: the run, or a folder that holds some.
        kind: "sft", "dpo" or "rollouts".
        rows: the number of rows of each split.
        hashes: the SHA-256 of the file of each split.
        notes: what each filter let pass, and what else a reader should know.
        reward: the metric that is the reward.
        canary: the text that is in each row, or None.
    """
    files = [f"  - split: {name}\n    path: {name}.jsonl" for name in rows]
    lines = ["---", "configs:", "- config_name: default", "  data_files:", *files, "---", ""]
    lines += [f"# {kind}", "", f"{_WHAT[kind]} Written by `clem export` of clemcore.", ""]
    lines += ["| split | rows | SHA-256 of the file |", "|---|---|---|"]
    lines += [f"| {name} | {rows[name]} | `{hashes[name]}` |" for name in rows]
    lines += ["", "## Selection", ""]
    lines += [f"* {_cell(note)}" for note in notes] or ["* nothing was left out"]
    if kind != "sft":
        lines += ["", f"The reward of an episode is its metric `{reward}`."]
    lines += ["", "## Runs"]
    for run in find_runs(path):
        lines += ["", f"### {_cell(run.name)}", "", *_about(run)]
    if canary is not None:
        lines += ["", "## Canary", "", "This text is in each row. A model that knows it has seen the data.", ""]
        lines += [f"    {_cell(canary)}"]
    return "\n".join(lines) + "\n"


def _about(run: Path) -> list[str]:
    described = _json(run / "run.json")
    about = _mapping(described.get("clemcore"))
    lines = [f"* created: {described.get('created', 'not stated')}"]
    lines += [
        f"* clemcore: {described.get('clem_version', 'not stated')}",
        f"* seed: {about.get('seed', 'not stated')}",
    ]
    for number, model in sorted(_mapping(described.get("player_models")).items()):
        spec = _mapping(_mapping(model).get("model_spec"))
        arguments = json.dumps(_mapping(model).get("gen_args"), sort_keys=True, ensure_ascii=False)
        lines.append(f"* model {number}: {_cell(spec.get('model_name'))}, {_cell(arguments)}")
    hashed = _mapping(about.get("games"))
    for name, game in sorted({**hashed, **_mapping(described.get("games"))}.items()):
        hashes = _mapping(_mapping(hashed.get(name)).get("sha256"))
        folder = _mapping(game).get("game_path")
        lines.append(f"* game {_cell(name)}: licence {_licence_of(folder)}")
        lines += [f"    * SHA-256 of {what}: `{value}`" for what, value in hashes.items()]
    return lines


def _licence_of(folder: Any) -> str:
    """Return what the game states now, because runs do not keep it."""
    stated = _json(Path(folder) / "clemgame.json").get("license") if isinstance(folder, str) else None
    return _cell(stated) if stated else "not stated"


def _json(path: Path) -> Mapping[str, Any]:
    with contextlib.suppress(OSError, ValueError):
        return _mapping(json.loads(path.read_bytes()))
    return {}


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _cell(value: Any) -> str:
    """Return a text as one line."""
    return " ".join(str(value).split())
