"""Every render of the corpus of real chat templates, compared with what transformers gives.

The corpus is other people's work and is not in this repository (fixture ``shared``). Expected texts were made by
transformers 5.23; ``meta`` of the goldens has the versions.
"""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from clemcore import _core
from clemcore.errors import TemplateError
from clemcore.prompts.templates.preparation import cut as _cut

NOW = (2026, 3, 7, 14, 5, 9, 0)
RAISED = "jinja2.exceptions.TemplateError"
# Only jinja2 renders these: links in `urlize` need its whole grammar of addresses.
BY_JINJA = {"filters_383"}


@pytest.fixture(scope="module")
def corpus(shared: Path) -> Path:
    return shared / "corpus" / "chat-templates"


def _load(path: Path) -> Any:
    return json.loads(gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes())


def _render(
    template: str | _core.TemplateCore, context: dict[str, Any], final: str | None = None
) -> tuple[str, str]:
    try:
        core = _core.TemplateCore(template) if isinstance(template, str) else template
        text = core.render_context([context], NOW)[0]
        return "out", text if final is None else _cut(text, final)
    except TemplateError as fault:
        return "err", str(fault)


def _is_as_expected(expected: dict[str, str], got: tuple[str, str]) -> bool:
    if "out" in expected:
        return got == ("out", expected["out"])
    return got[0] == "err" and (expected["err"] != RAISED or got[1] == expected["msg"])


@pytest.mark.slow
def test_every_render_of_the_corpus_is_the_official_one(corpus: Path) -> None:
    goldens = _load(corpus / "goldens.json.gz")["goldens"]
    contexts = _load(corpus / "contexts.json")
    wrong = []
    for name, cases in goldens.items():
        source = (corpus / "templates" / f"{name.removesuffix('.jinja')}.jinja").read_bytes().decode()
        core = _core.TemplateCore(source)
        for case in contexts:
            got = _render(core, case["context"], case["continue_final_message"])
            if not _is_as_expected(cases[case["id"]], got):
                wrong.append((name, case["id"], got[1][:100]))
    assert len(goldens) * len(contexts) == 11_220
    assert wrong == []


def test_every_probe_of_one_language_feature_is_as_in_jinja2(corpus: Path) -> None:
    probes = _load(corpus / "probes.json")
    wrong = []
    for probe in probes["probes"]:
        try:
            got = _render(probe["template"], probes["context"])
        except _core.UnsupportedError:
            assert probe["id"] in BY_JINJA, probe
            continue
        if not _is_as_expected({key: probe[key] for key in ("out", "err", "msg") if key in probe}, got):
            wrong.append((probe["id"], probe["template"], got))
    assert wrong == []


def test_every_feature_of_our_own_fixtures_is_as_in_jinja2() -> None:
    path = Path(__file__).parent / "fixtures" / "templates" / "features.json"
    fixture = json.loads(path.read_text(encoding="utf-8"))
    for case in fixture["cases"]:
        expected = (
            {"out": case["text"]} if "text" in case else {"err": case["error"], "msg": case.get("message", "")}
        )
        if expected.get("err") == "TemplateError":
            expected["err"] = RAISED
        got = _render(case["template"], fixture["context"])
        assert _is_as_expected(expected, got), (case, got)
