"""Which released package confirms what the packaged registry says, and what they say differently.

Standard library only; nothing of the packages is run or kept. For maintainers:

    pip download --no-deps --dest WHEELS litellm genai-prices openai anthropic google-genai mistralai cohere \
        pydantic-ai-slim any-llm-sdk ramalama
    python tools/registry_sources.py WHEELS            # counts, and everything that differs
    python tools/registry_sources.py WHEELS --entries  # one line per entry as well
"""

from __future__ import annotations

import argparse
import ast
import json
import math
import re
import sys
import zipfile
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

REGISTRY = Path(__file__).parent.parent / "model_registry.json"
# The prefix of litellm's keys by backend, and by host for gateways.
LITELLM_PREFIX = {
    "openai": "",
    "anthropic": "",
    "google": "gemini/",
    "mistral": "mistral/",
    "cohere": "",
    "huggingface_local": "together_ai/",
    "api.groq.com": "groq/",
    "api.together.xyz": "together_ai/",
    "api.deepseek.com": "deepseek/",
    "api.x.ai": "xai/",
    "api.moonshot.ai": "moonshot/",
    "api.z.ai": "zai/",
}
GENAI_PROVIDERS = ("openai", "anthropic", "google", "mistral", "cohere", "openrouter")
# Where each SDK or tool lists model names: package, file, and the names that count.
NAME_LISTS = {
    "openai": ("openai", "openai/types/shared/chat_model.py", r"[a-z0-9.-]+"),
    "anthropic": ("anthropic", "anthropic/types/model.py", r"claude-[a-z0-9-]+"),
    "google": ("google_genai", "google/genai/_gaos/types/interactions/model.py", r"gem[a-z]+-[a-z0-9.-]+"),
    "mistral": ("mistralai", "", r"(?:mistral|magistral|ministral|codestral|devstral)-[a-z0-9.-]+"),
    "cohere": ("cohere", "", r"command-[a-z0-9-]+"),
    "llamacpp": ("ramalama", "shortnames.conf", r"[\w.-]+/[\w.-]+"),
}
FIELDS = (
    "context_size",
    "max_input_tokens",
    "max_output_tokens",
    "input",
    "output",
    "deprecation_date",
    "efforts",
    "always",
    "no_sampling",
)
TOKENS = {"k": 1024, "m": 1024 * 1024}


@dataclass
class Row:
    """What one package says of one model.

    Attributes:
        source: the package, or the part of it.
        facts: values under the names of `FIELDS`; prices in USD per million tokens.
        raw: the package's own row.
    """

    source: str
    facts: dict[str, Any] = field(default_factory=dict)
    raw: dict[str, Any] = field(default_factory=dict)


class Sources:
    """The tables in a folder of wheels."""

    def __init__(self, folder: Path) -> None:
        """Look which wheels are there."""
        self.wheels = {path.name.split("-")[0]: path for path in sorted(folder.glob("*.whl"))}

    @property
    def versions(self) -> dict[str, str]:
        """Package to version."""
        return {name: path.name.split("-")[1] for name, path in self.wheels.items()}

    def _texts(self, package: str, ending: str) -> Iterator[str]:
        if package not in self.wheels:
            return
        with zipfile.ZipFile(self.wheels[package]) as wheel:
            for name in wheel.namelist():
                if name.endswith(ending or ".py"):
                    yield wheel.read(name).decode("utf-8")

    @cached_property
    def litellm(self) -> dict[str, dict[str, Any]]:
        """Litellm's table by its own keys."""
        texts = list(self._texts("litellm", "/model_prices_and_context_window_backup.json"))
        table: dict[str, dict[str, Any]] = json.loads(texts[0]) if texts else {}
        return table

    @cached_property
    def genai(self) -> dict[str, dict[str, Any]]:
        """The providers of genai-prices, by id; its Python is parsed, not run."""
        for text in self._texts("genai_prices", "genai_prices/data.py"):
            for statement in ast.parse(text).body:
                if isinstance(statement, ast.AnnAssign) and statement.value is not None:
                    return {provider["id"]: provider for provider in _literal(statement.value)}
        return {}

    @cached_property
    def names(self) -> dict[str, set[str]]:
        """Backend to the model names that its SDK or tool lists."""
        return {
            backend: {name for text in self._texts(package, ending) for name in _quoted(text, pattern)}
            for backend, (package, ending, pattern) in NAME_LISTS.items()
        }

    @cached_property
    def shutdowns(self) -> dict[str, str]:
        """Model name to the day on which its provider ends it, as the SDKs of OpenAI and Anthropic tell."""
        found: dict[str, str] = {}
        for text in self._texts("openai", "openai/types/shared/chat_model.py"):
            for names, day in re.findall(
                r'- ((?:"[^"]+",?\s*)+):\s+Announced\s+shutdown\s+date:\s+([\d-]{10})', text
            ):
                found.update(dict.fromkeys(re.findall(r'"([^"]+)"', names), day))
        for text in self._texts("anthropic", "anthropic/resources/messages/messages.py"):
            for name, month, day, year in re.findall(r'"(claude-[\w.-]+)": "(\w+) (\d+)\w\w, (\d{4})"', text):
                found[name] = datetime.strptime(f"{month} {day} {year}", "%B %d %Y").date().isoformat()
        return found

    @cached_property
    def openai_reasoning(self) -> dict[str, dict[str, Any]]:
        """Model name prefix to how OpenAI's models reason, in the order in which pydantic-ai tries them."""
        for text in self._texts("pydantic_ai_slim", "pydantic_ai/profiles/openai.py"):
            constants: dict[str, Any] = {}
            for statement in ast.parse(text).body:
                target = statement.targets[0] if isinstance(statement, ast.Assign) else None
                target = statement.target if isinstance(statement, ast.AnnAssign) else target
                value = getattr(statement, "value", None)
                if isinstance(target, ast.Name) and isinstance(value, ast.expr):
                    constants[target.id] = _literal(value, constants)
            table: dict[str, dict[str, Any]] = constants["_REASONING_SUPPORT_BY_PREFIX"]
            return table
        return {}

    def reasoning_of(self, model_id: str) -> dict[str, Any] | None:
        """How a model of OpenAI reasons; None where it does not."""
        found = (row for prefix, row in self.openai_reasoning.items() if model_id.startswith(prefix))
        return next(found, None)

    @cached_property
    def claude_prefixes(self) -> dict[str, tuple[str, ...]]:
        """What pydantic-ai calls a trait of Anthropic's models to the prefixes of the names that have it."""
        found: dict[str, tuple[str, ...]] = {}
        for text in self._texts("pydantic_ai_slim", "pydantic_ai/profiles/anthropic.py"):
            for node in ast.walk(ast.parse(text)):
                match node:
                    case ast.Assign(
                        targets=[ast.Name(id=name)],
                        value=ast.Call(func=ast.Attribute(attr="startswith"), args=[prefixes]),
                    ):
                        named = _literal(prefixes)
                        found[name] = (named,) if isinstance(named, str) else tuple(named)
        return found

    @cached_property
    def gemini_levels(self) -> dict[str, list[str]]:
        """Model name prefix to the thinking levels that pydantic-ai lists for Google's models."""
        for text in self._texts("pydantic_ai_slim", "pydantic_ai/profiles/google.py"):
            for statement in ast.parse(text).body:
                if (
                    isinstance(statement, ast.AnnAssign)
                    and ast.unparse(statement.target) == "_MODEL_THINKING_LEVELS"
                ):
                    assert statement.value is not None  # noqa: S101 - a table without rows would be another file
                    return {
                        prefix: [level.lower() for level in levels] for prefix, levels in _literal(statement.value)
                    }
        return {}

    def _thinking(self, backend: str, name: str) -> Iterator[Row]:
        has: set[str] = set()
        if backend == "anthropic":
            has = {trait for trait, prefixes in self.claude_prefixes.items() if name.startswith(prefixes)}
        if has:
            facts: dict[str, Any] = {"always": "thinking_always_enabled" in has}
            facts["no_sampling"] = "disallows_sampling_settings" in has
            if "supports_effort" in has:
                # It writes down of every model that it takes `max`, but of this one.
                more = [] if name.startswith("claude-opus-4-5") else ["max"]
                extra = ["xhigh"] if "supports_xhigh_effort" in has else []
                facts["efforts"] = ["low", "medium", "high", *extra, *more]
            yield Row("pydantic-ai profiles", facts)
        if backend == "google":
            for prefix, levels in self.gemini_levels.items():
                if name.startswith(prefix):
                    yield Row("pydantic-ai profiles", {"efforts": levels})
                    return

    def rows(self, entry: dict[str, Any]) -> list[Row]:
        """Everything that the packages say of an entry."""
        backend = entry["backend"]
        name = str(entry.get("model_id") or entry.get("huggingface_id") or "")
        rows = [Row(f"{NAME_LISTS[backend][0]} names")] if name in self.names.get(backend, ()) else []
        host = re.sub(r"^https?://|/.*$", "", entry.get("base_url", ""))
        prefix = LITELLM_PREFIX.get(backend, LITELLM_PREFIX.get(host))
        if prefix is not None and (row := self.litellm.get(prefix + name)):
            # A hub's model has the context that its configuration says; a gateway's limit is another fact.
            rows.append(Row("litellm", {} if backend == "huggingface_local" else _litellm_facts(row), row))
        rows.extend(self._thinking(backend, name))
        rows.extend(self._genai_rows(backend, name, entry.get("base_url", "")))
        if backend in ("openai", "anthropic") and name in self.shutdowns:
            rows.append(Row(f"{backend} shutdowns", {"deprecation_date": self.shutdowns[name]}))
        return rows

    def _genai_rows(self, backend: str, name: str, base_url: str) -> Iterator[Row]:
        for provider in self.genai.values():
            if backend == "huggingface_local":
                right = provider["id"].startswith("huggingface_")
            elif backend == "openai_compatible":
                right = bool(base_url) and re.match(provider["api_pattern"], base_url) is not None
            else:
                right = provider["id"] == backend and backend in GENAI_PROVIDERS
            model = next((row for row in provider["models"] if _matches(row["match"], name)), None)
            if right and model is not None:
                facts = {} if backend == "huggingface_local" else _genai_facts(model)
                yield Row(f"genai-prices {provider['id']}", facts, model)


def _quoted(text: str, pattern: str) -> list[str]:
    return re.findall(rf"[\"'](?:hf://)?({pattern})[\"']", text)


def _literal(node: ast.expr, names: dict[str, Any] | None = None) -> Any:  # noqa: PLR0911 - one per kind of node
    """The value of an expression of literals; a call of a class is a dict of its arguments."""
    names = names or {}
    match node:
        case ast.Constant(value=value):
            return value
        case ast.Name(id=name) if name in names:
            return names[name]
        case ast.List(elts=items) | ast.Tuple(elts=items) | ast.Set(elts=items):
            return [_literal(item, names) for item in items]
        case ast.Dict(keys=keys, values=values):
            pairs = zip(keys, values, strict=True)
            return {_literal(key, names): _literal(value, names) for key, value in pairs if key is not None}
        case ast.Call(func=ast.Name(id="Decimal" | "frozenset"), args=[only]):
            return _literal(only, names)
        case ast.Call(func=ast.Attribute(attr="date"), args=[year, month, day]):
            return "{:04}-{:02}-{:02}".format(*(_literal(part) for part in (year, month, day)))
        case ast.Call(func=function, keywords=keywords):
            arguments = {str(keyword.arg): _literal(keyword.value, names) for keyword in keywords}
            return {"is": ast.unparse(function), **arguments}
        case _:
            return ast.unparse(node)


def _matches(clause: dict[str, Any], name: str) -> bool:  # noqa: PLR0911 - one per kind of clause
    match clause:
        case {"or_": clauses}:
            return any(_matches(each, name) for each in clauses)
        case {"and_": clauses}:
            return all(_matches(each, name) for each in clauses)
        case {"equals": text}:
            return bool(name == text)
        case {"starts_with": text}:
            return name.startswith(text)
        case {"ends_with": text}:
            return name.endswith(text)
        case {"contains": text}:
            return text in name
        case {"regex": text}:
            return re.search(text, name) is not None
    return False


def _litellm_facts(row: dict[str, Any]) -> dict[str, Any]:
    facts = {name: row.get(name) for name in ("max_input_tokens", "max_output_tokens", "deprecation_date")}
    prices = {
        "input": row.get("input_cost_per_token"),
        "output": row.get("output_cost_per_token"),
        "cached_input": row.get("cache_read_input_token_cost"),
    }
    if prices["input"] or prices["output"]:
        facts.update({name: round(cost * 1e6, 6) for name, cost in prices.items() if cost is not None})
    return {name: value for name, value in facts.items() if value is not None}


def _genai_facts(row: dict[str, Any]) -> dict[str, Any]:
    facts = {"context_size": row.get("context_window")}
    prices = row["prices"]
    if isinstance(prices, list):
        if any("TimeOfDay" in str(part.get("constraint")) for part in prices):
            prices = {}  # no single price
        else:
            today = [part for part in prices if _start(part) <= AS_OF]
            prices = max(today, key=_start)["prices"] if today else {}
    keys = {"input": "input_mtok", "output": "output_mtok", "cached_input": "cache_read_mtok"}
    for name, key in keys.items():
        value = prices.get(key)
        value = value["base"] if isinstance(value, dict) else value
        facts[name] = None if value is None else float(value)
    return {name: value for name, value in facts.items() if value is not None}


# The later of the two price tables' release dates: prices that begin after it do not count yet.
AS_OF = "2026-11-12"


def _start(part: dict[str, Any]) -> str:
    return str((part.get("constraint") or {}).get("start_date", ""))


def tokens(size: object) -> int | None:
    """A context size in tokens, as the linter reads it."""
    found = re.fullmatch(r"(\d+)([kKmM]?)", str(size))
    return int(found[1]) * TOKENS.get(found[2].lower(), 1) if found else None


def said(entry: dict[str, Any]) -> dict[str, Any]:
    """What an entry says under the names of `FIELDS`."""
    facts = {name: entry.get(name) for name in FIELDS} | entry.get("prices", {})
    thinking = entry.get("thinking", {})
    facts["efforts"], facts["always"] = thinking.get("efforts"), thinking.get("always", False)
    facts["no_sampling"] = entry.get("sampling_parameters") == []
    # What goes in is only said where it is less than the whole context.
    facts["max_input_tokens"] = facts["max_input_tokens"] or tokens(facts["context_size"])
    return {
        name: tokens(value) if name == "context_size" else value
        for name, value in facts.items()
        if value is not None
    }


@dataclass
class Finding:
    """One field of one entry beside what a source says."""

    entry: dict[str, Any]
    source: str
    name: str
    ours: Any
    theirs: Any

    @property
    def same(self) -> bool:
        """Whether both say the same; absent counts as different."""
        if isinstance(self.ours, (int, float)) and isinstance(self.theirs, (int, float)):
            return math.isclose(self.ours, self.theirs, abs_tol=1e-6)
        return bool(self.ours == self.theirs)

    def __str__(self) -> str:
        """Show the difference on one line."""
        entry = f"{self.entry['backend']}/{self.entry['model_name']}"
        ours = "nothing" if self.ours is None else self.ours
        return f"{entry}: {self.name}: the registry says {ours}, {self.source} {self.theirs}"


def findings(entry: dict[str, Any], rows: Iterable[Row]) -> list[Finding]:
    """Every fact of the sources beside the entry's; what the registry leaves out differs, too."""
    ours = said(entry)
    return [
        Finding(entry, row.source, name, ours.get(name), row.facts[name])
        for row in rows
        for name in FIELDS
        if name in row.facts
    ]


def main(arguments: list[str] | None = None) -> int:
    """Print what is confirmed, by whom, and what differs."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("wheels", type=Path, help="folder with the downloaded wheels")
    parser.add_argument("--registry", type=Path, default=REGISTRY)
    parser.add_argument("--entries", action="store_true", help="one line per entry as well")
    options = parser.parse_args(arguments)
    sources = Sources(options.wheels)
    entries: list[dict[str, Any]] = json.loads(options.registry.read_text(encoding="utf-8"))
    confirmed: Counter[tuple[str, str]] = Counter()
    named: Counter[str] = Counter()
    differences: list[Finding] = []
    for entry in entries:
        rows = sources.rows(entry)
        named[entry["backend"]] += bool(rows)
        found = findings(entry, rows)
        confirmed.update({(one.source, one.name) for one in found if one.same})
        agreed = {one.name for one in found if one.same}
        differences.extend(one for one in found if not one.same)
        if options.entries:
            by = ", ".join(row.source for row in rows) or "no package"
            print(f"{entry['backend']}/{entry['model_name']}: {by}; agreed: {', '.join(sorted(agreed)) or '-'}")
    print("\npackages:", ", ".join(f"{name} {version}" for name, version in sources.versions.items()))
    totals = Counter(entry["backend"] for entry in entries)
    print("\nentries that a package knows:")
    print("\n".join(f"  {backend}: {named[backend]} of {total}" for backend, total in sorted(totals.items())))
    print("\nfields that a package confirms:")
    print("\n".join(f"  {source}: {name}: {count}" for (source, name), count in sorted(confirmed.items())))
    print(f"\n{len(differences)} differences:")
    print("\n".join(f"  {one}" for one in differences))
    return 0


if __name__ == "__main__":
    sys.exit(main())
