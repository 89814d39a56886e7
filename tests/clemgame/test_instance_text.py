"""Instances that are read from the text of their file one by one are those that ``json.loads`` reads."""

from __future__ import annotations

import json
from itertools import permutations
from typing import Any

import pytest

from clemcore.clemgame.reading.instance_files import check_instances
from clemcore.clemgame.reading.instance_text import Instances, content_of

INSTANCES = [
    {"game_id": 0, "text": 'brackets ]}, "quotes" \\ and: colons, {[', "nested": {"a": [[], {}, [1, {"b": None}]]}},
    {"game_id": 1, "text": "ä \U0001f600 \t\n", "number": -1.5e300, "long": 2**70, "experiments": [1]},
    {"game_id": 2, "game_instances": [{"game_id": 0}], "": ""},
]
CONTENT: dict[str, Any] = {
    "experiments": [
        {"name": 'a "b"', "game_instances": INSTANCES, "after": {"game_instances": []}},
        {"game_instances": [], "name": "none"},
        {"name": "odd", "game_instances": ["x", 1, None, [], {}]},
    ],
    "game_instances": [1, 2],
}


def _plain(value: Any) -> Any:
    for experiment in value["experiments"]:
        experiment["game_instances"] = [*experiment["game_instances"]]
    return value


@pytest.mark.parametrize("indent", [None, 0, 4, "\t"])
@pytest.mark.parametrize("is_ascii", [True, False])
def test_any_way_to_write_it_gives_the_same_content(indent: Any, is_ascii: bool) -> None:
    text = json.dumps(CONTENT, indent=indent, ensure_ascii=is_ascii).encode()
    read = content_of(b" \r\n" + text + b"\n")
    assert isinstance(read["experiments"][0]["game_instances"], Instances)
    assert _plain(read) == CONTENT


def test_instances_are_a_sequence_and_read_anew() -> None:
    instances = content_of(json.dumps(CONTENT).encode())["experiments"][0]["game_instances"]
    assert (len(instances), instances[-1], instances[:2]) == (3, INSTANCES[2], INSTANCES[:2])
    instances[0]["text"] = "changed"
    assert [*instances] == INSTANCES
    with pytest.raises(IndexError):
        instances[3]


@pytest.mark.parametrize(
    "text",
    [
        "[]",
        "3",
        '"experiments"',
        "{}",
        '{"experiments": {}}',
        '{"experiments": [1, [], "x", {}]}',
        '{"experiments": [{"game_instances": {"a": [1]}}, {"game_instances": "[1, 2]"}]}',
        '{"experiments": [1], "experiments": [{"name": "a"}, {"name": "b", "name": "c"}]}',
    ],
)
def test_content_of_another_form_is_read_as_it_is(text: str) -> None:
    assert content_of(text.encode()) == json.loads(text)


@pytest.mark.parametrize("ids", [*permutations([1, 2, 3, 2]), (5, 4, 3, 3), (0, 0, 0), (3, 1, 2)])
def test_an_id_that_comes_twice_is_found_in_any_order(ids: tuple[int, ...]) -> None:
    value = {"experiments": [{"name": "a", "game_instances": [{"game_id": number} for number in ids]}]}
    for read in (value, content_of(json.dumps(value).encode())):
        found = [(each.path[3], each.related and each.related[3]) for each in check_instances(read)]
        assert found == [(at, ids.index(number)) for at, number in enumerate(ids) if number in ids[:at]]
