"""Runs with chosen texts in every field, for tests of pages."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from clemcore.clemgame.plan import EpisodeKey, PlannedEpisode
from clemcore.clemgame.store import RunStore, StoredCall

# Texts that are dangerous where a text is taken for something else.
HOSTILE = (
    "<script>window.hacked = 1</script>",
    "<img src=x onerror=window.hacked=1>",
    "<svg onload=window.hacked=1>",
    "<svg><script href='data:text/javascript,window.hacked=1' />",
    "</script><script>window.hacked=1</script>",
    "</style><style>@import 'http://127.0.0.1:9/x.css';</style>",
    "</template><img src=http://127.0.0.1:9/x.png>",
    "</pre></textarea></title><script>window.hacked=1</script>",
    "\" onmouseover=\"window.hacked=1\" autofocus onfocus=\"window.hacked=1",
    "' onclick='window.hacked=1",
    "javascript:window.hacked=1",
    "data:text/html,<script>window.hacked=1</script>",
    "<iframe srcdoc='<script>top.hacked=1</script>'></iframe>",
    "<iframe src=javascript:window.hacked=1>",
    "<object data=http://127.0.0.1:9/x><embed src=http://127.0.0.1:9/y>",
    "<link rel=stylesheet href=http://127.0.0.1:9/x.css>",
    "<link rel=prefetch href=http://127.0.0.1:9/x><meta http-equiv=refresh content='0;url=http://127.0.0.1:9/'>",
    "<base href=http://127.0.0.1:9/>",
    "<form action=http://127.0.0.1:9/><button autofocus>",
    "<math><mtext><mglyph><style><!--</style><img title=\"--&gt;&lt;img src=1 onerror=window.hacked=1&gt;\">",
    "<details open ontoggle=window.hacked=1>",
    "<video><source onerror=window.hacked=1>",
    "<input onfocus=window.hacked=1 autofocus>",
    "<a href=javascript:window.hacked=1>x</a>",
    # Kinds that public collections have besides these: unknown elements, styles, half tags, names in other letters.
    "<hacked contenteditable tabindex=1 onfocusin=window.hacked=1 id=x>", "<marquee onstart=window.hacked=1>",
    "<div style=\"background:url(//127.0.0.1:9/x);x:expression(window.hacked=1)\">", "<scr\0ipt>window.hacked=1<",
    "<img src=x onerror=&#119;indow.hacked=1//", "\uff1cscript\uff1ewindow.hacked=1\uff1c/script\uff1e",
    "`'\"--></noscript></title></textarea><svg/onload=window.hacked=1>/*javascript:/*",
    "<!--<script>-->", "]]>", "<![CDATA[<script>window.hacked=1</script>]]>",
    "{{constructor.constructor('window.hacked=1')()}}", "${window.hacked=1}", "{% raw %}{{ 7 * 7 }}",
    "\\u003cscript\\u003ewindow.hacked=1\\u003c/script\\u003e", "&lt;script&gt;window.hacked=1&lt;/script&gt;",
    "\u2028window.hacked=1\u2029", "\u202egnp.exe\u202c\u200b\ufeff\u2066", "\x1b]0;title\x07\x1b[2J\x00", "\ud800",
    "![x](http://127.0.0.1:9/x.png) [y](javascript:window.hacked=1) <http://127.0.0.1:9/>",
    "```\n<script>window.hacked=1</script>\n```",
    "=HYPERLINK(\"http://127.0.0.1:9/\")", "::error::x", "__proto__", "constructor", "toString", "hasOwnProperty",
)  # fmt: skip


@dataclass
class Texts:
    """What stands in the fields of an episode.

    Attributes:
        game, experiment: names.
        prompt, answer: of its one call.
        extra: everywhere else: names of players, roles, models, keys, images, errors.
        record: the record of its call, in place of one with these texts.
    """

    game: str = "game"
    experiment: str = "easy"
    prompt: str = "Guess!"
    answer: str = "A tree."
    extra: str = "more"
    instance: int = 0
    epoch: int = 1
    state: str = "played"
    record: dict[str, Any] | None = None
    scores: dict[str, Any] = field(
        default_factory=lambda: {"Aborted": 0, "Lose": 0, "Success": 1, "Main Score": 80.0}
    )


def name_of(text: str) -> str:
    """Return a text as the name of a game or an experiment, which cannot hold half a character."""
    return text.encode("utf-8", "backslashreplace").decode()


def folder_of(text: str) -> str:
    """Return a text as the name of a folder, as far as a file system takes it."""
    return "".join("_" if char in "/\0" else char for char in name_of(text))[:60]


def write_run(folder: Path, episodes: Sequence[Texts], *, is_markdown: bool = False) -> Path:
    """Write a run with its scores into a store; return its folder."""
    folder.mkdir(parents=True, exist_ok=True)
    with RunStore.open(folder) as store:
        keys = [EpisodeKey(each.game, each.experiment, each.instance, each.epoch) for each in episodes]
        store.plan(
            [
                PlannedEpisode(
                    key,
                    {"name": each.experiment, each.extra: each.extra},
                    {"game_id": each.instance, "language": each.extra, each.extra: [each.extra]},
                    place,
                )
                for place, (key, each) in enumerate(zip(keys, episodes, strict=True))
            ]
        )
        for key, each in zip(keys, episodes, strict=True):
            if each.state == "planned":
                continue
            writer = store.begin(key)
            writer.call(StoredCall(0, f"Player {each.extra}", 0, "model", "", each.answer, _record(each), 1))
            if each.state == "played":
                writer.finish("played", json.dumps(interactions_of(each, is_markdown)).encode())
                if each.scores:
                    store.keep_scores(key, json.dumps({"episode scores": each.scores}).encode())
            else:
                error = {"type": each.extra, "message": f"{each.extra} in line 7"}
                writer.finish(each.state, b"", error=error)
    return folder


def start_of(page: str) -> Any:
    """Return what a page of results begins with."""
    found = re.search(r'<script type="application/json" id="start">(.*?)</script>', page, re.DOTALL)
    assert found
    return json.loads(found[1])


def _record(texts: Texts) -> bytes:
    extra = texts.extra
    if texts.record is not None:
        return json.dumps(texts.record).encode()
    return json.dumps(
        {
            "timestamp": extra,
            "manipulated_prompt_obj": [
                {"role": extra, "content": extra},
                {"role": "user", "content": texts.prompt},
            ],
            "raw_response_obj": {extra: extra},
            "clemcore": {
                "duration_seconds": 0.5,
                "reasoning": extra,
                "finish_reason": extra,
                "served_model": extra,
                "usage": {"input_tokens": 10, "output_tokens": 5},
                "cost": {"usd": 0.001},
                "gen_args": {"all": {extra: extra}, "sent": {extra: [extra]}},
                "parameters": {extra: {extra: extra}},
                "error": {"type": extra, "message": extra},
            },
        }
    ).encode()


def interactions_of(texts: Texts, is_markdown: bool) -> dict[str, Any]:
    extra, player = texts.extra, f"Player {texts.extra}"
    event = {"timestamp": extra}
    names = {"game_name": texts.game, "experiment_name": texts.experiment}
    return {
        "meta": {**names, "game_id": 0, "results_folder": extra},
        "markdown": is_markdown,
        "players": {"GM": {"game_role": extra}, player: {"game_role": extra, "model_name": extra}},
        "turns": [
            [
                {**event, "from": "GM", "to": player, "action": {
                    "type": "send message", "content": texts.prompt, "label": "context", "image": [extra]}},
                {**event, "from": player, "to": "GM", "action": {"type": "get message", "content": texts.answer}},
                {**event, "from": "GM", "to": "GM", "action": {"type": extra, "content": extra}},
            ]
        ],
    }  # fmt: skip
