"""The packaged registry: parses, is clean, and every entry says what its backend needs."""

from __future__ import annotations

import datetime
import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from clemcore import _core
from clemcore.registry.registry import ModelRegistry

FILE = Path(__file__).parent.parent / "model_registry.json"
TEXT = FILE.read_text(encoding="utf-8")
ENTRIES: list[dict[str, Any]] = json.loads(TEXT)

# Names that documents, scripts and results of earlier releases use.
KEPT = [
    "smollm2-135m-instruct",
    "zephyr-7b-alpha",
    "zephyr-7b-beta",
    "openchat-3.5-0106",
    "gemma-2-9b-it",
    "Meta-Llama-3.1-8B-Instruct",
    "Qwen2.5-7B-Instruct",
    "openchat",
    "codellama-34b",
    "gpt-3.5-turbo-0125",
    "gpt-4o-2024-08-06",
    "gpt-4o-mini-2024-07-18",
    "claude-opus-4.5",
    "claude-sonnet-4.5",
    "command-a",
    "command-r-plus",
    "gemini-2.5-flash",
    "llama-3.3-70b",
    "qwen2.5-72b",
    "internvl3-14b",
    "internvl3-38b",
    "llama-3.3-70b-gguf",
    "qwen2.5-72b-gguf",
    "mistral-large",
    "mistral-small",
    "gpt-4o-mini",
    "gpt-4o",
    "claude-sonnet-4.5-or",
    "llama-3.3-70b-or",
    "slurk",
]
IDENTIFIED_BY = {
    "anthropic": "model_id",
    "cohere": "model_id",
    "google": "model_id",
    "huggingface_local": "huggingface_id",
    "llamacpp": "huggingface_id",
    "mistral": "model_id",
    "openai": "model_id",
    "openai_compatible": "model_id",
    "openrouter": "model_id",
}
ORDINARY = [
    "Hello!",
    "a < b | c > d",
    "<|im_start|>user",
    "x</s> and more",
    "I say [END] and stop.",
    "eos",
    "\n",
    "",
]
# Presence alone counts for earlier readers, so `false` would mean true.
FLAGS = ("reasoning_model", "thinking_mode", "multimodal", "cot_output", "trust_remote_code", "load_in_8bit")


def name_of(entry: dict[str, Any]) -> str:
    return f"{entry['backend']}/{entry['model_name']}"


def patterns() -> list[tuple[str, str]]:
    found = ((name_of(entry), entry.get("model_config", {}).get("eos_to_cull")) for entry in ENTRIES)
    return [(name, pattern) for name, pattern in found if pattern is not None]


def leaves(value: object) -> list[object]:
    if isinstance(value, dict):
        return [leaf for item in value.values() for leaf in leaves(item)] or [value]
    return [value]


def test_it_is_large_enough_and_clean() -> None:
    assert len(ENTRIES) >= 250
    report = _core.check(FILE.name, TEXT.encode())
    # Some models need a backend, or a setting, of another version of clemcore.
    assert [problem.to_dict() for problem in report.problems if problem.kind != "unrunnable"] == []
    assert (report.errors, report.warnings) == (0, 0)


def test_it_is_what_comes_along() -> None:
    assert len(json.loads(_core.packaged_registry())) == len(ENTRIES)


@pytest.mark.parametrize("name", KEPT)
def test_names_of_earlier_releases_resolve(name: str) -> None:
    registry = ModelRegistry.from_packaged_and_cwd_files()
    assert registry.get_first_model_spec_that_unify_with(name).model_name == name


def test_no_name_twice_in_a_backend() -> None:
    counts = Counter(name_of(entry) for entry in ENTRIES)
    assert [name for name, count in counts.items() if count > 1] == []
    # One name stands in two backends, as in the registry of 2025: a selector adds the backend to reach the second.
    by_name = Counter(entry["model_name"] for entry in ENTRIES)
    assert {name for name, count in by_name.items() if count > 1} == {"Mixtral-8x7B-Instruct-v0.1"}


@pytest.mark.parametrize("entry", ENTRIES, ids=name_of)
def test_an_entry_says_what_its_backend_needs(entry: dict[str, Any]) -> None:
    if entry["backend"] != "slurk":
        assert entry[IDENTIFIED_BY[entry["backend"]]]
    config = entry.get("model_config", {})
    if entry["backend"] == "llamacpp":
        assert config["filename"]
    if "custom_chat_template" in config:
        assert config["premade_chat_template"] is False
    assert not [flag for flag in FLAGS if config.get(flag) is False]
    assert not [leaf for leaf in leaves(entry) if leaf in ("", None, {})]
    if "context_size" in entry:
        assert _core.context_tokens(str(entry["context_size"]))


# A number of parameters as names write it: 120b, 1.5B; not the 8x7B of mixtures, nor the A3B of active ones.
SIZE = re.compile(r"(?<![\w.])\d+(?:\.\d+)?b\b", re.IGNORECASE)


def sizes(text: str) -> set[str]:
    return {size.lower() for size in SIZE.findall(text)}


def test_a_name_that_tells_a_size_is_served_by_a_model_of_that_size() -> None:
    told = [
        (entry, sizes(entry["model_name"]), sizes(entry.get(IDENTIFIED_BY.get(entry["backend"], ""), "")))
        for entry in ENTRIES
    ]
    both = [(entry, name, identifier) for entry, name, identifier in told if name and identifier]
    assert len(both) > 100
    assert [name_of(entry) for entry, name, identifier in both if not name & identifier] == []


def test_entries_of_one_model_agree_about_its_size() -> None:
    parameters: dict[str, set[str]] = {}
    for entry in ENTRIES:
        if "parameters" in entry:
            identifier = str(entry.get(IDENTIFIED_BY.get(entry["backend"], ""))).lower()
            parameters.setdefault(identifier, set()).add(entry["parameters"])
    assert {identifier: found for identifier, found in parameters.items() if len(found) > 1} == {}


@pytest.mark.parametrize(("name", "pattern"), patterns(), ids=[name for name, _ in patterns()])
def test_end_patterns_match_an_end_and_nothing_else(name: str, pattern: str) -> None:
    compiled = re.compile(pattern)
    token = re.sub(r"^\(\?:(?:\(\?:)?|\\s\*.*$", "", pattern).split("|" if "(?:(?:" in pattern else "\0")[0]
    token = re.sub(r"\\(.)", r"\1", token).rstrip(")")
    assert compiled.sub("", f"An answer.{token}") == "An answer.", name
    assert compiled.sub("", f"An answer.{token}\n{token} \n") == "An answer.", name
    for text in [*ORDINARY, f"The token {token} inside."]:
        assert compiled.search(text) is None, (name, text)


def test_dates_are_iso_and_prices_are_dated() -> None:
    for entry in ENTRIES:
        for date in (entry.get("release_date"), entry.get("deprecation_date"), entry.get("prices", {}).get("date")):
            if date is not None:
                datetime.date.fromisoformat(date if len(date) > 7 else f"{date}-01")
        if "prices" in entry:
            assert {"input", "output", "date"} <= entry["prices"].keys(), name_of(entry)


def test_it_stays_in_order() -> None:
    keys = [
        (entry["backend"], entry.get("family", ""), entry.get("release_date", "9999"), entry["model_name"].lower())
        for entry in ENTRIES
    ]
    assert keys == sorted(keys)


def test_languages_are_short_codes() -> None:
    codes = {code for entry in ENTRIES for code in entry.get("languages", [])}
    assert not [code for code in codes if not re.fullmatch(r"[a-z]{2,3}(-[A-Z][a-z]{3})?", code)]
    assert not codes & {"iw", "in", "ji", "sh"}, "deprecated codes"
