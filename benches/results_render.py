"""Renders transcripts with the core and with jinja2, from one template: see `python benches/results.py render`.

jinja2 gets values that are ready to be shown, and both escape what they show. The pages must be equal.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jinja2
from least_cpu import least_cpu
from markupsafe import Markup

from clemcore._core import transcript_html, transcript_images

PAGES = Path(__file__).parent.parent / "rust" / "clemcore" / "pages"
ROUNDS = 7


def rendered(records: Sequence[bytes]) -> tuple[float, float, float]:
    """Return CPU seconds for each record: ours to read and render it, ours to read it, jinja2 to render it."""
    template = jinja2.Environment(
        loader=jinja2.FileSystemLoader(PAGES), autoescape=True, trim_blocks=True, lstrip_blocks=True
    ).from_string(_whole_template())
    pages = [transcript_html(record, {}).decode() for record in records]
    policies = [re.findall(r'Policy" content="(.*?)"', page)[0] for page in pages]
    shown = [_shown(json.loads(record), html.unescape(policy))
             for record, policy in zip(records, policies, strict=True)]  # fmt: skip
    for page, each in zip(pages, shown, strict=True):
        # They write the same characters in two ways.
        if html.unescape(template.render(each)) != html.unescape(page):
            raise AssertionError("the pages differ")
    return (
        least_cpu(lambda: [transcript_html(record, {}) for record in records], ROUNDS) / len(records),
        least_cpu(lambda: [transcript_images(record) for record in records], ROUNDS) / len(records),
        least_cpu(lambda: [template.render(each) for each in shown], ROUNDS) / len(records),
    )


def _whole_template() -> str:
    """Return the template of a page with that of its messages in it, so jinja2 need not include it for each."""
    message = (PAGES / "message.html").read_text("utf-8")
    messages = f"{{% for message in round %}}\n{message}{{% endfor %}}\n"
    page, place = (PAGES / "transcript.html").read_text("utf-8"), "{{ round -}}\n"
    if page.count(place) != 1:
        raise AssertionError("the template has no place for its messages")
    return page.replace(place, messages)


def _shown(record: dict[str, Any], policy: str) -> dict[str, Any]:
    """Return what the template shows of a record, for players with roles and messages without images."""
    players, meta = record["players"], record["meta"]
    names = [name for name in players if name != "GM"]
    return {
        "policy": policy,
        "style": Markup((PAGES / "transcript.css").read_text("utf-8")),  # noqa: S704 - our own
        "title": f"{meta['game_name']}, {meta['experiment_name']}, episode {meta['game_id']}, "
                 f"with {meta['results_folder']}",
        "players": [
            {"name": name, "role": about["game_role"], "model": about["model_name"]}
            for name, about in players.items()
        ],
        "two_players": len(names) == 2,
        "rounds": [[_message(event, players, names) for event in events] for events in record["turns"]],
        "calls": [[] for _ in record["turns"]],
    }  # fmt: skip


def _message(event: dict[str, Any], players: dict[str, Any], names: list[str]) -> dict[str, Any]:
    ends = event["from"], event["to"]
    action = event["action"]
    if ends == ("GM", "GM"):
        classes, speaker = "gm-gm", f"Game Master: {action['type']}"
    else:
        number = names.index(ends[1] if ends[0] == "GM" else ends[0])
        classes = f"{'gm-p' if ends[0] == 'GM' else 'p-gm'} p{number + 1} c{number % 8 + 1}"
        speaker = " to ".join(f"{end} ({players[end]['game_role']})" for end in ends)
    return {"classes": classes, "speaker": speaker, "form": "text", "text": action["content"], "images": []}
