"""`clem run` with several servers: the same turns as with one, also where a server is killed in the middle."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import pytest

from clemcore.clemgame.layout.episodes import read_episodes
from support.clem import Clem
from support.echo_game import write_game, write_instances
from support.killable_server import killable_server

pytestmark = pytest.mark.slow


def _entry(name: str, base_url: Any) -> dict[str, Any]:
    fields = {"model_name": name, "model_id": "m", "backend": "openai_compatible", "base_url": base_url}
    return {**fields, "model_config": {"requires_api_key": False}}


def _turns(name: str) -> dict[str, Any]:
    """The turns of each episode, without times."""
    return {str(each.key): _plain(each.interactions["turns"]) for each in read_episodes(Path("results") / name)}


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items() if name != "timestamp"}
    return [_plain(item) for item in value] if isinstance(value, list) else value


def test_a_run_over_servers_has_the_turns_of_a_run_on_one(clem: Clem, tmp_path: Path) -> None:
    write_instances(write_game(Path()), instances=12, rounds=3)
    with (
        killable_server(tmp_path, "alone") as alone,
        killable_server(tmp_path, "first", delay=0.05) as first,
        killable_server(tmp_path, "second", delay=0.05) as second,
    ):
        entries = [_entry("one", alone.url), _entry("two", [first.url, second.url])]
        Path("model_registry.json").write_text(json.dumps(entries), encoding="utf-8")
        assert clem("run", "-g", "echo", "-m", "one").returncode == 0
        killer = threading.Thread(target=second.kill_after, args=(15, 50))
        killer.start()
        done = clem("run", "-g", "echo", "-m", "two")
        killer.join()
        assert done.returncode == 0, done.stderr
        assert second.process.poll() == -9
        assert 15 <= len(second.requests) < len(first.requests)
    records = [path.read_text() for path in Path("results/two").rglob("*.requests.json")]
    assert any(f'"moved_from": "{second.url}"' in text for text in records)
    expected = _turns("one")
    assert len(expected) == 12
    assert [str(turns).replace("'two'", "'one'") for turns in _turns("two").values()] == [
        str(turns) for turns in expected.values()
    ]
