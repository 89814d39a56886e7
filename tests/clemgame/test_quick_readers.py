"""What the core reads of stores and of files is what the readers in Python read."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clemcore.clemgame.layout import found
from clemcore.clemgame.layout.episodes import read_episodes
from clemcore.clemgame.layout.found import read_calls, whole_file
from clemcore.clemgame.store import RunReader, RunStore, StoredCall, known_pieces
from clemcore.errors import StoreError
from support.stored import planned, record_of, script

SAID = {"call_start": "T", "call_duration": 1.5, "response": "a\nb 😀", "model_name": "m"}
RECORDS: list[dict[str, Any]] = [
    {"timestamp": "T2", "manipulated_prompt_obj": [], "raw_response_obj": {"clem_player": SAID}},
    {"timestamp": "T1", "manipulated_prompt_obj": {}, "raw_response_obj": {"clem_player": {"model_name": "mock"}}},
    {"timestamp": "T1", "manipulated_prompt_obj": None, "raw_response_obj": "R", "clemcore": {}},
    {
        "timestamp": "T0",
        "manipulated_prompt_obj": [1.5, True, "\u2028"],
        "raw_response_obj": {},
        "clemcore": {"response_text": "x", "scope": {"call": 7, "player": "Player 2"}},
    },
    {
        "timestamp": "T0",
        "manipulated_prompt_obj": "\ud800",
        "raw_response_obj": {"clem_player": 5},
        "clemcore": {"response_text": None, "model_spec": {"model_name": "mock"}},
    },
]
META = {"player_name": "Player 1", "model_name": "programmatic", "round_count": 3}
AROUND: list[dict[str, Any]] = [
    {},
    {"round": 2, "number": 4, "kind": "model", "request": "ab", "attempt": 2},
    {"number": None, "round": None},
]
FILES: list[Any] = [
    RECORDS,
    [],
    {"meta": META, "calls": [{**each, "call": record} for each in AROUND for record in RECORDS]},
    {"calls": [{"round": 1, "call": RECORDS[0]}], "more": [{}], "meta": {}},
]


def _episode(path: Path) -> found.FoundEpisode:
    return found.FoundEpisode(str(path), path, "taboo", "high_en", 3, 1)


def _without_the_core(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(found, "requested_calls", lambda _: None)
    monkeypatch.setattr(known_pieces, "stored_body", lambda *_: (None, []))
    monkeypatch.setattr(known_pieces, "stored_calls", lambda *_: (None, []))


@pytest.mark.parametrize("is_ascii", [True, False])
@pytest.mark.parametrize("indent", [None, 2])
def test_files_of_requests(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, indent: int | None, is_ascii: bool
) -> None:
    for number, content in enumerate(FILES):
        text = json.dumps(content, indent=indent, ensure_ascii=is_ascii)
        (tmp_path / f"player_{number}.requests.json").write_bytes(text.encode("utf-8", "replace"))
    files = sorted(os.listdir(tmp_path))  # noqa: PTH208 - names, as a walk gives them
    by_the_core = [read_calls(_episode(tmp_path), [name]) for name in [*files]] + [
        read_calls(_episode(tmp_path), files)
    ]
    _without_the_core(monkeypatch)
    assert by_the_core == [read_calls(_episode(tmp_path), [name]) for name in [*files]] + [
        read_calls(_episode(tmp_path), files)
    ]
    assert len(by_the_core[-1]) == len(RECORDS) * 4 + 1


def _read(folder: Path) -> list[Any]:
    found: list[Any] = []
    with RunReader(folder) as reader:
        for stored in reader.episodes():
            before = reader.interactions(stored)
            found.append((reader.calls(stored), before, reader.scores(stored), reader.instance(stored)))
            assert reader.interactions(stored) == before
    return found


def test_stores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = planned(12)
    with RunStore.open(tmp_path) as store:
        store.plan(plan)
        for each in plan:
            script(each.key).play(store.begin(each.key))
            store.keep_scores(each.key, b'{"episode scores": {"Main Score": %s1}}' % (b" " * 500))
    by_the_core = _read(tmp_path)
    assert [calls for calls, *_ in by_the_core] == [script(each.key).calls for each in plan]
    _without_the_core(monkeypatch)
    assert _read(tmp_path) == by_the_core


_RECORD = st.binary(max_size=600) | st.text(max_size=600).map(lambda text: json.dumps(text).encode() * 2)


@settings(max_examples=25)
@given(records=st.lists(_RECORD, max_size=6), texts=st.lists(st.none() | st.text(), min_size=6, max_size=6))
def test_any_calls_in_a_store(
    tmp_path_factory: pytest.TempPathFactory, records: list[bytes], texts: list[str | None]
) -> None:
    folder = tmp_path_factory.mktemp("run")
    calls = [
        StoredCall(number, f"Player {number % 2}", number, "model", "ab", texts[number], record, 1)
        for number, record in enumerate(records)
    ]
    (each,) = planned(1)
    with RunStore.open(folder) as store:
        store.plan([each])
        episode = store.begin(each.key)
        for call in calls:
            episode.call(call)
        episode.finish("played", b"{}")
    by_the_core = _read(folder)
    assert [call.record for call in by_the_core[0][0]] == records
    with pytest.MonkeyPatch.context() as monkeypatch:
        _without_the_core(monkeypatch)
        assert _read(folder) == by_the_core


def test_pieces_are_read_where_they_are_needed(tmp_path: Path) -> None:
    plan = planned(40)
    prompts = {
        each.key: [{"role": "user", "content": f"{each.place} {part} {'long ' * 80}"} for part in range(30)]
        for each in plan
    }
    records = {key: record_of(prompt, {}, None) for key, prompt in prompts.items()}
    with RunStore.open(tmp_path) as store:
        store.plan(plan)
        for key, record in records.items():
            episode = store.begin(key)
            episode.call(StoredCall(0, "Player 1", 0, "model", "", None, record, 1))
            episode.finish("played", b"{}")
    for order in (list(records), list(records)[::-1]):
        with RunReader(tmp_path) as reader:
            assert [reader.calls(key)[0].record for key in order] == [records[key] for key in order]


def test_a_file_that_does_not_know_its_size_is_read(tmp_path: Path) -> None:
    assert b"python" in whole_file("/proc/self/cmdline")
    os.mkfifo(tmp_path / "pipe")
    assert whole_file(tmp_path / "pipe") == b""
    (tmp_path / "file").write_bytes(b"x" * 100_000)
    assert whole_file(str(tmp_path / "file")) == b"x" * 100_000


def test_scores_may_be_missing_or_in_the_way(tmp_path: Path) -> None:
    folder = tmp_path / "mock" / "taboo" / "high_en" / "instance_00003"
    folder.mkdir(parents=True)
    (folder / "interactions.json").write_text('{"players": {}, "turns": []}')
    (episode,) = read_episodes(tmp_path)
    assert episode.scores is None
    (folder / "scores.json").mkdir()
    assert episode.scores is None
    (folder / "scores.json").rmdir()
    for content, told in (("", "is empty"), ('{"episode scores": 1}', "must be an object")):
        (folder / "scores.json").write_text(content)
        with pytest.raises(StoreError, match=rf"scores\.json.* {told}.*\. Compute it again with 'clem score'"):
            _ = episode.scores
