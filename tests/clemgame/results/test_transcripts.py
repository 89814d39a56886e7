"""Transcripts: what is said in an episode is shown as text, whatever it is, and nothing in a page acts."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import struct
import zlib
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from clemcore import cli
from clemcore.clemgame.layout.episodes import read_episodes
from clemcore.clemgame.transcripts.builder import build_tex, build_transcript, build_transcripts, transcribe
from clemcore.clemgame.transcripts.pictures import MOST_BYTES
from clemcore.errors import RunError
from support.echo_game import write_game

HOSTILE = [
    "<script>alert(1)</script>",
    "\" onmouseover=\"alert(1)",
    "' onfocus='alert(1)",
    "</style><svg onload=alert(1)>",
    "{{ 7 * 7 }}{% raw %}",
    "javascript:alert(1)",
    "\u202egnp.exe\u202c\u200b",
    "\x1b]0;title\x07\x00",
    "\ud800",
    "-->]]><!--",
    "&lt;b&gt;",
    "\u2028</script>",
]  # fmt: skip
ELEMENTS = {
    "html", "head", "meta", "title", "style", "body", "header", "h1", "dl", "div", "dt", "dd", "main", "section",
    "h2", "article", "h3", "img",
}  # fmt: skip
ATTRIBUTES = {
    "html": {"lang"}, "meta": {"charset", "http-equiv", "content", "name"}, "div": {"class"}, "main": {"class"},
    "section": {"class", "aria-label"}, "article": {"class"}, "img": {"src", "alt"},
}  # fmt: skip


class Page(HTMLParser):
    """What a browser finds in a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def event(content: Any, **changes: Any) -> dict[str, Any]:
    action = {"type": "get message", "content": content, "label": "response"}
    return {"from": "Player 1", "to": "GM", "timestamp": "now", "action": {**action, **changes}}


def interactions(*events: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {
        "meta": {"game_name": "taboo", "experiment_name": "high", "game_id": 3, "results_folder": "mock"},
        "players": {
            "GM": {"game_role": "Game Master", "model_name": "programmatic"},
            "Player 1": {"game_role": "Guesser", "model_name": "mock"},
            "Player 2": {"game_role": "Describer", "model_name": "mock"},
        },
        "turns": [list(events)],
        **changes,
    }


def png() -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0)
    data = zlib.compress(b"\0\0")
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def images_in(page: str) -> list[str]:
    return [str(attributes["src"]) for tag, attributes in Page(page).elements if tag == "img"]


def test_speakers_rounds_and_texts_are_there() -> None:
    told = {**event("Say <it>\nnow", label="context"), "from": "GM", "to": "Player 2"}
    noted = {**event(5, type="parse"), "from": "GM"}
    page = build_transcript(interactions(told, event("yes", label="forget"), noted))
    texts = "\n".join(Page(page).texts)
    for wanted in (
        "taboo, high, episode 3, with mock",
        "Round 0",
        "GM (Game Master) to Player 2 (Describer)",
        "Player 1 (Guesser) to GM (Game Master)",
        "Game Master: parse",
        "Say <it>\nnow",
    ):
        assert wanted in texts
    assert 'class="message p-gm p1 c1 forget"' in page


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize("markdown", [False, True])
def test_hostile_text_in_every_field_adds_no_element_and_no_attribute(text: str, markdown: bool) -> None:
    value = interactions(
        event(text),
        event({text: text}),
        event(text, type=text, label=text, image=[text, f"data:{text}"]),
        {**event(text), "from": text, "to": text},
        {**event(json.dumps({"image": text})), "from": "GM"},
    )
    value["meta"] = dict.fromkeys(value["meta"], text)
    value["players"][text] = {"game_role": text, "model_name": text}
    value["markdown"] = markdown
    page = build_transcript(value)
    allowed = ELEMENTS | ({"p", "pre", "code", "em"} if markdown else set())
    for tag, attributes in Page(page).elements:
        assert tag in allowed
        assert set(attributes) <= ATTRIBUTES.get(tag, set())
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f\u200b-\u200f\u2028-\u202e\ud800-\udfff]", page)
    assert images_in(page) == []


def test_a_page_loads_nothing_and_has_one_style() -> None:
    page = build_transcript(interactions(event("hi")))
    [style] = re.findall(r"<style>(.*?)</style>", page, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    [policy] = [
        str(attributes["content"])
        for _, attributes in Page(page).elements
        if attributes.get("http-equiv") == "Content-Security-Policy"
    ]
    assert f"style-src 'sha256-{digest}'" in policy
    assert "default-src 'none'" in policy
    assert not re.search(r"url\(|@import", style)
    assert "style=" not in page


def test_tex_escapes_every_character_that_acts() -> None:
    tex = build_tex(interactions(event("\\input{x} $a_b% & #1 ~^\n[b]\n\n--"), event("<" * 3)))
    assert r"\texttt{\textbackslash{}input\{x\} \$a\_b\% \& \#1 \textasciitilde{}\textasciicircum{}}\\" in tex
    assert "\\texttt{{[}b{]}}\\\\\n        \\texttt{}\\\\\n        \\texttt{{-}{-}}\\\\" in tex
    assert tex.count("\\input") == 0
    assert tex.count("{") == tex.count("}")


def test_only_images_that_may_be_read_are_embedded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root, home = tmp_path / "images", Path.cwd()
    root.mkdir()
    monkeypatch.setenv("IMAGE_ROOT", str(root))
    (root / "a.png").write_bytes(png())
    (home / "b.png").write_bytes(png())
    (tmp_path / "secret.png").write_bytes(png())
    (home / "link.png").symlink_to(tmp_path / "secret.png")
    (home / "liar.png").write_text("<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>")
    with (home / "large.png").open("wb") as file:
        file.write(png())
        file.truncate(MOST_BYTES + 1)
    address = "data:image/svg+xml;base64," + base64.b64encode(png()).decode()
    refused = [
        "../secret.png", str(tmp_path / "secret.png"), "link.png", "liar.png", "large.png", "https://a.example/b.png",
        "x" * 5000, "a\0.png", "data:image/png;base64,PHN2Zz4=", "data:text/html,<b>",
    ]  # fmt: skip
    page = build_transcript(interactions(event("", image=["a.png", "b.png", address, *refused])))
    embedded = "data:image/png;base64," + base64.b64encode(png()).decode()
    assert images_in(page) == [embedded] * 3
    texts = "".join(Page(page).texts)
    assert all(f"Image: {name}".replace("\0", "\\u{0}") in texts for name in refused)


def test_all_layouts_get_their_files_and_torn_ones_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    write_game(Path(), instances=3)
    arguments: dict[str, Any] = {"gen_args": {"temperature": 0.0, "max_tokens": 10}}
    cli.run("echo", ["mock"], **arguments)
    old = Path("results/a-t0.0--a-t0.0/taboo/0_high/episode_3")
    old.mkdir(parents=True)
    told = {**event("x", label="context"), "from": "GM", "to": "Player 1"}
    old_form = {"players": {"GM": "Game master", "Player 1": "a"}, "turns": [[told, event(float("nan"))]]}
    (old / "interactions.json").write_text(json.dumps(old_form))
    torn = Path("results/m/taboo/high/instance_00001/interactions.json")
    torn.parent.mkdir(parents=True)
    torn.write_text('{"meta": {"game_name"')
    done = transcribe("results")
    [(place, text)] = done.problems
    assert place == torn.parent
    assert "interactions.json is not JSON" in text
    assert done.episodes == len(list(Path("results").rglob("transcript.html"))) == 4
    page = (old / "transcript.html").read_text()
    assert "taboo, high, episode 3, with a-t0.0--a-t0.0" in page
    assert (old / "transcript.tex").read_text().endswith("\\end{document}")
    capsys.readouterr()
    build_transcripts("results", ["taboo"])
    with pytest.raises(RunError, match="has no episode of tab; without -g"):
        transcribe("results", ["tab"])
    with pytest.raises(SystemExit):
        cli.transcripts("taboo")
    assert "1 episodes transcribed, 1 not" in capsys.readouterr().err


@pytest.mark.parametrize("layout", ["classic", "store"])
def test_calls_are_folded_below_their_rounds(layout: str) -> None:
    write_game(Path(), instances=1)
    assert cli.main(["run", "-g", "echo", "-m", "mock", "--layout", layout]) == 0
    if layout == "classic":
        Path("results/mock/store.sqlite3").unlink()
    assert transcribe("results").problems == []
    [episode] = read_episodes("results")
    found = Page((episode.folder / "transcript.html").read_text())
    assert {tag for tag, _ in found.elements} <= ELEMENTS | {"details", "summary", "b"}
    calls = [text for text in found.texts if text.startswith("Call ")]
    assert len(calls) == len(episode.calls()) > 0
    assert all(text.endswith(("program", "the model was asked")) for text in calls)
    assert sum(text.startswith("Prompt sent") for text in found.texts) == len(calls)
    assert found.texts.count("Response") == len(calls)


def test_a_transcript_without_its_calls_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    write_game(Path(), instances=1)
    assert cli.main(["run", "-g", "echo", "-m", "mock", "--layout", "classic"]) == 0
    Path("results/mock/store.sqlite3").unlink()
    [torn] = list(Path("results").rglob("*.requests.json"))[:1]
    torn.write_text("[")
    done = transcribe("results")
    assert done.episodes == 1
    [(place, text)] = done.problems
    assert place == torn.parent
    assert "its calls are not shown" in text
    assert torn.name in text
    assert "Round 0" in (place / "transcript.html").read_text()


def test_an_episode_that_only_a_store_has_gets_a_page() -> None:
    from clemcore.clemgame.runs.run import play
    from clemcore.clemgame.runs.settings import RunSettings

    write_game(Path(), instances=2)
    assert play(RunSettings(games=["echo"], models=["mock"], layout="store")).status == 0
    assert not list(Path("results").rglob("interactions.json"))
    assert transcribe("results/mock").episodes == 2
    assert len(list(Path("results/mock/echo").rglob("transcript.html"))) == 2


def test_a_file_that_is_as_it_would_be_written_is_left_alone(tmp_path: Path) -> None:
    folder = tmp_path / "mock" / "game" / "level" / "instance_00000"
    folder.mkdir(parents=True)
    interactions = {"meta": {"game_name": "game"}, "players": {"GM": {}, "Player 1": {}}, "turns": [[]]}
    (folder / "interactions.json").write_text(json.dumps(interactions))
    transcribe(tmp_path)
    before = {path.name: path.stat() for path in folder.glob("transcript.*")}
    assert len(before) == 2
    (folder / "transcript.tex").write_text("changed by somebody")
    transcribe(tmp_path)
    html = (folder / "transcript.html").stat()
    assert (html.st_ino, html.st_mtime_ns) == (
        before["transcript.html"].st_ino,
        before["transcript.html"].st_mtime_ns,
    )
    assert (folder / "transcript.tex").stat().st_size == before["transcript.tex"].st_size
