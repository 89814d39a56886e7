"""The tools that compare this version with 3.7.2, and the page that they write."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

TOOLS = Path(__file__).parent.parent / "tools"


def write_episode(folder: Path, turns: list[list[dict[str, Any]]], scores: str = '{"episode scores": {}}') -> None:
    place = folder / "mock" / "taboo" / "high" / "instance_00000"
    place.mkdir(parents=True)
    content = {"meta": {"completed": True, "clem_version": folder.name}, "players": {}, "turns": turns}
    (place / "instance.json").write_text('{"game_id": 0}')
    (place / "interactions.json").write_text(json.dumps(content))
    (place / "scores.json").write_text(scores)


def event(content: Any, label: str = "response", time: str = "now") -> dict[str, Any]:
    action = {"type": "get message", "content": content, "label": label}
    return {"from": "Player 1", "to": "GM", "timestamp": time, "action": action}


def compared(folder: Path) -> tuple[int, str]:
    command = [sys.executable, *map(str, (TOOLS / "games" / "compare.py", folder / "theirs", folder / "ours"))]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stderr == ""
    return done.returncode, done.stdout


def test_times_and_events_of_direct_calls_do_not_count_as_differences(tmp_path: Path) -> None:
    write_episode(tmp_path / "theirs", [[event("a")], [event("b")]], '{"episode scores": {"Main Score": NaN}}')
    ours = [[event("a", time="later")], [event("x", "forget"), event("b")]]
    write_episode(tmp_path / "ours", ours, '{"episode scores": {"Main Score": null}}')
    status, text = compared(tmp_path)
    assert status == 0
    assert text == "1 episodes in both: 1 with equal turns; 1 scored: 1 equal; 1 events of direct calls\n"


def test_the_first_difference_of_turns_and_scores_is_shown(tmp_path: Path) -> None:
    write_episode(tmp_path / "theirs", [[event("a")]], '{"episode scores": {"Lose": 1}}')
    write_episode(tmp_path / "ours", [[event("b")]], '{"episode scores": {"Lose": true}}')
    status, text = compared(tmp_path)
    assert status == 1
    assert "taboo/high/0: turns[0][0].action.content: 'a', 'b'" in text
    assert "taboo/high/0: scores.episode scores.Lose: '1', 'True'" in text


def test_an_episode_of_one_side_is_a_difference(tmp_path: Path) -> None:
    write_episode(tmp_path / "theirs", [[event("a")]])
    (tmp_path / "ours").mkdir()
    assert compared(tmp_path) == (
        1,
        "0 episodes in both: 0 with equal turns; 0 scored: 0 equal; 0 events of direct calls\n"
        "  taboo/high/0: only left\n",
    )


def test_the_page_is_up_to_date_and_every_missing_name_has_a_reason() -> None:
    command = [sys.executable, str(TOOLS / "compatibility" / "write.py"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stdout == ""
    assert done.returncode == 0, "run 'python tools/compatibility/write.py' and look at the difference"
