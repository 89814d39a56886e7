"""What `registry.py` measures, in a process of its own: run by clemcore, by orjson and by clemcore 3.7.2.

Usage: python registry_worker.py WHO registry FILE | WHO spec
The last line of the output is a JSON object of seconds (and, under `memory`, bytes).
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

# CPU seconds that one reading of a repeated call shall take at least.
ENOUGH = 0.05


def resident() -> int:
    """Give the resident memory of this process in bytes."""
    return int(Path("/proc/self/statm").read_text("utf-8").split()[1]) * os.sysconf("SC_PAGE_SIZE")


def seconds(call: Callable[[], Any]) -> float:
    """CPU seconds per call: of one call where that is slow, else of as many as take long enough."""
    times = 1
    while True:
        begin = time.process_time()
        for _ in range(times):
            call()
        taken = time.process_time() - begin
        if taken >= ENOUGH:
            return taken / times
        times = max(times * 2, int(times * ENOUGH * 1.2 / max(taken, 1e-4)))


def loaded(load: Callable[[bytes], Any], path: Path) -> tuple[Any, dict[str, float]]:
    """Load a file; the time of reading it counts for nobody, its bytes count where they are kept."""
    small = path.stat().st_size < 20_000_000
    if small:
        text = path.read_bytes()
        load(text)
        taken = seconds(partial(load, text))
        del text
    gc.collect()
    before = resident()
    text = path.read_bytes()
    begin = time.process_time()
    registry = load(text)
    once = time.process_time() - begin
    del text
    gc.collect()
    return registry, {"load": taken if small else once, "memory": float(resident() - before)}


def registry_of(who: str) -> Callable[[bytes], Any]:
    """Give the call that loads a registry from bytes."""
    if who == "orjson":
        import orjson  # type: ignore[import-not-found, unused-ignore]

        loads: Callable[[bytes], Any] = orjson.loads
        return loads
    from clemcore.backends import ModelRegistry

    if who == "clemcore":
        return lambda text: ModelRegistry.from_layers([("model_registry.json", text)])

    def load(text: bytes) -> Any:
        # As its from_json_file does, without the file.
        return ModelRegistry().register_from_list(json.loads(text), lookup_source="model_registry.json")

    return load


def finder(who: str, registry: Any) -> Callable[[dict[str, Any]], Any]:
    """Give the call that finds an entry, or None."""
    if who == "clemcore":
        find: Callable[[dict[str, Any]], Any] = registry.find
        return find

    from clemcore.backends import ModelSpec

    def find_old(selector: dict[str, Any]) -> Any:
        # Where nothing fits it raises ValueError, and fails on the message where the selector has no name.
        with contextlib.suppress(ValueError, AttributeError):
            return registry.get_first_model_spec_that_unify_with(ModelSpec.from_dict(selector))

    return find_old


def selectors(path: Path) -> tuple[dict[str, dict[str, Any]], int]:
    """Give the selectors for a file, and how many entries it has."""
    text = path.read_bytes()
    entries = json.loads(text) if len(text) < 200_000_000 else None
    if entries is None:
        # Of a large file only its last entries are read, from a border between two.
        start = text.index(b'{"model_name":', len(text) - 2_000_000)
        entries = json.loads(b"[" + text[start:])
    count = text.count(b'{"model_name":')
    first = json.loads(text[1 : text.index(b',{"model_name":')])["model_name"]
    nested = next(entry for entry in reversed(entries) if entry.get("model_config"))
    key, value = next(iter(nested["model_config"].items()))
    return {
        "first": {"model_name": first},
        "last": {"model_name": entries[-1]["model_name"]},
        "nested": {"model_name": nested["model_name"], "model_config": {key: value}},
        "absent": {"model_name": "there-is-no-such-model"},
        "nameless": {"backend": "there-is-no-such-backend"},
    }, count


def measure_registry(who: str, path: Path) -> dict[str, float]:
    """Measure loading and resolving of one file."""
    wanted, count = selectors(path)
    gc.collect()
    registry, result = loaded(registry_of(who), path)
    if who != "orjson" and (who == "clemcore" or path.stat().st_size < 20_000_000):
        find = finder(who, registry)
        for name, selector in wanted.items():
            taken = seconds(partial(find, selector))
            result[name] = taken / count if name == "nameless" else taken
    return result


def measure_spec() -> dict[str, float]:
    """Measure ModelSpec by itself."""
    from clemcore.backends import ModelSpec

    fields = {
        "model_name": "m",
        "backend": "openai",
        "model_id": "m-2024",
        "release_date": "2024-01-31",
        "open_weight": False,
        "languages": ["en", "de"],
        "license": {"name": "L", "url": "https://example.org"},
        "model_config": {"multimodality": {"single_image": True}},
    }
    plain = {name: value for name, value in fields.items() if isinstance(value, (str, bool))}
    spec = ModelSpec.from_dict(fields)
    return {
        "spec.model_name": seconds(lambda: spec.model_name),
        'spec["model_name"]': seconds(lambda: spec["model_name"]),
        '"model_id" in spec': seconds(lambda: "model_id" in spec),
        "ModelSpec(**5 plain fields)": seconds(lambda: ModelSpec(**plain)),
        "ModelSpec(**8 fields, 4 dicts and lists in them)": seconds(lambda: ModelSpec(**fields)),
        "from_name": seconds(lambda: ModelSpec.from_name("m")),
        "from_dict of 5 plain fields": seconds(lambda: ModelSpec.from_dict(plain)),
        "from_dict of 8 fields, 4 dicts and lists in them": seconds(lambda: ModelSpec.from_dict(fields)),
        "from_string, a name": seconds(lambda: ModelSpec.from_string("m")),
        "from_string, JSON": seconds(lambda: ModelSpec.from_string('{"model_name": "m"}')),
        "rename": seconds(lambda: spec.rename("n")),
        "to_dict": seconds(spec.to_dict),
        "to_string": seconds(spec.to_string),
    }


if __name__ == "__main__":
    person, task = sys.argv[1:3]
    outcome = measure_spec() if task == "spec" else measure_registry(person, Path(sys.argv[3]))
    print(json.dumps(outcome))
