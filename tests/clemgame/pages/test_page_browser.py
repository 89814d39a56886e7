"""The page of results in a real browser: nothing that is shown acts, and everything can be reached."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from clemcore.clemgame.pages.folder import write_folder, write_single
from support.chromium import Chromium, opened
from support.shown_runs import HOSTILE, Texts, folder_of, name_of, write_run

pytestmark = pytest.mark.slow
VIEWS = ("table", "games", "episodes", "instances", "errors", "search", "about")


def test_nothing_that_is_shown_acts(tmp_path: Path, chromium: Chromium) -> None:
    """Every text in every field, in every view: no script, no request, no element beside those of the templates."""
    states = ("played", "error", "limit", "planned")
    for number, text in enumerate(HOSTILE):
        more = [
            Texts(name_of(text), name_of(text), text, text, text, at, state=state)
            for at, state in enumerate(states)
        ]
        more[0].scores |= {text: text}
        write_run(tmp_path / "results" / f"{number}{folder_of(text)}", more)
    folder = write_folder([tmp_path / "results"], tmp_path / "page").path
    single = write_single([tmp_path / "results"], tmp_path / "page.html").path
    for address in (folder, single):
        with chromium.page() as (page, seen):
            opened(page, address.as_uri())
            written = set(page.evaluate(_TAGS_OF_TEMPLATES))
            for view in VIEWS:
                opened(page, address.as_uri(), f"#view={view}&q=hacked")
                assert set(page.evaluate(_TAGS)) <= written, view
            opened(page, address.as_uri(), "#view=episodes")
            for at in range(0, len(HOSTILE) * len(states), 29):
                opened(page, address.as_uri(), f"#view=episodes&page={at // 100 + 1}")
                page.locator("tbody tr th a").nth(at % 100).click()
                page.wait_for_selector("main[aria-busy=false] .facts")
                page.evaluate("for (const each of document.querySelectorAll('main details')) each.open = true")
                page.wait_for_timeout(50)
                page.evaluate("for (const each of document.querySelectorAll('main details')) each.open = true")
                assert set(page.evaluate(_TAGS)) <= written
            assert page.evaluate("window.hacked === undefined && document.title.includes('results')")
            assert not seen.messages
            foreign = [
                url for url in seen.requests if not url.startswith((folder.parent.as_uri(), address.as_uri()))
            ]
            assert not [url for url in foreign if not url.startswith(("data:image/", "blob:"))]


_TAGS = "[...document.querySelectorAll('body *')].map((each) => each.localName)"
_TAGS_OF_TEMPLATES = """[...new Set([...document.querySelectorAll('template')].flatMap((each) =>
    [...each.content.querySelectorAll('*')].map((inner) => inner.localName))
    .concat([...document.querySelectorAll('body *')].map((each) => each.localName), ['option', 'tr']))]"""


def test_an_episode_is_reached_by_keyboard_down_to_its_raw_request(tmp_path: Path, chromium: Chromium) -> None:
    write_run(tmp_path / "results" / "model", [Texts(prompt="What is it?", answer="An oak.")])
    address = write_folder([tmp_path / "results"], tmp_path / "page").path.as_uri()
    with chromium.page() as (page, seen):
        opened(page, address)

        def to(text: str) -> None:
            for _ in range(80):
                page.keyboard.press("Tab")
                focused = (
                    "document.activeElement.matches('a, button, summary') && document.activeElement.textContent"
                )
                if text in (page.evaluate(focused) or ""):
                    return
            raise AssertionError(f"{text} cannot be reached")

        for step in ("Episodes", "model"):
            to(step)
            page.keyboard.press("Enter")
            page.wait_for_timeout(300)
            page.wait_for_selector("main[aria-busy=false]")
        to("Call 0")
        page.keyboard.press("Enter")
        page.wait_for_selector("text=Raw request")
        to("Raw request")
        page.keyboard.press("Enter")
        assert "manipulated_prompt_obj" in page.inner_text("details[open] details[open] pre")
        assert "call=0" in page.url
        page.reload()  # the state has a link
        page.wait_for_selector("[data-asked]")
        assert page.evaluate("document.activeElement.textContent").startswith("Call 0")
        assert not seen.messages


def test_what_is_filtered_sorted_and_searched(tmp_path: Path, chromium: Chromium) -> None:
    for model, score in (("good", 90.0), ("bad", 10.0)):
        texts = [Texts(instance=at, answer=f"{model} Answer {at}") for at in range(120)]
        for each in texts:
            each.scores["Main Score"] = score + each.instance / 100
        write_run(tmp_path / "results" / model, [*texts, Texts(instance=120, state="error")])
    address = write_folder([tmp_path / "results"], tmp_path / "page").path.as_uri()
    with chromium.page() as (page, seen):
        opened(page, address)
        assert "incomplete" in page.inner_text("tbody tr:first-child")
        assert page.inner_text("tbody tr:first-child th") == "good"
        page.click("thead button >> text=Model")
        page.wait_for_selector("th[aria-sort=ascending]")
        assert page.inner_text("tbody tr:first-child th") == "bad"
        opened(page, address, "#view=episodes")
        assert "242 episodes" in page.inner_text("caption")
        page.click("thead button >> text=Score")
        page.wait_for_selector("th[aria-sort=descending]")
        assert "91.19" in page.inner_text("tbody tr:first-child")
        page.select_option("#filters select >> nth=1", label="error")
        page.wait_for_selector("caption >> text=2 episodes; Outcome: error")
        opened(page, address, "#view=search&q=ANSWER 7")
        assert page.locator(".hit").count() == 22
        assert "22 responses found in 242 episodes" in page.inner_text("#status")
        opened(page, address, "#view=errors")
        assert "more: more in line N" in page.inner_text("tbody")
        opened(page, address, "#view=instances")  # there is only one game to choose
        assert "121 instances" in page.inner_text("caption")
        opened(page, address, "#view=episodes&m=gone.123456")
        assert "No episode passes the filters (Model: gone.123456)" in page.inner_text("main")
        assert not seen.messages


def test_episodes_are_sorted_by_any_column(tmp_path: Path, chromium: Chromium) -> None:
    scores = [3.5, -2.0, 0.0, None, 1e-9, 100.0, -0.5, 3.5, 99.99, 1e20, -1e20, None, 12.0]
    for model, shift in (("model 10", 0), ("model 9", 1)):
        texts = [Texts(instance=at) for at in range(len(scores))]
        for each in texts:
            each.scores["Main Score"] = scores[each.instance - shift]
        write_run(tmp_path / "results" / model, texts)
    address = write_folder([tmp_path / "results"], tmp_path / "page").path.as_uri()

    def shown(sort: str) -> list[tuple[str, int]]:
        opened(page, address, f"#view=episodes&sort={sort}")
        rows = page.locator("tbody tr").evaluate_all("rows => rows.map((row) => row.innerText.split('\\t'))")
        return [(row[0].strip(), int(row[3])) for row in rows]

    def score_of(row: tuple[str, int]) -> float:
        score = scores[row[1] - int(row[0] == "model 9")]
        return -math.inf if score is None else score

    with chromium.page() as (page, seen):
        rows = shown("")
        assert shown("6") == sorted(rows, key=score_of)
        assert shown("-6") == sorted(rows, key=lambda row: -score_of(row))
        assert shown("3") == sorted(rows, key=lambda row: row[1])
        assert shown("-3") == sorted(rows, key=lambda row: -row[1])
        assert [model for model, _ in shown("0")] == ["model 9"] * len(scores) + ["model 10"] * len(scores)
        assert all(sorted(shown(str(by))) == sorted(rows) for by in range(10))
        assert not seen.messages


@pytest.mark.parametrize("is_dark", [False, True])
def test_axe_finds_no_barrier(tmp_path: Path, chromium: Chromium, is_dark: bool) -> None:
    from axe_playwright_python.sync_playwright import Axe

    scores = {"Aborted": 1, "Lose": 0, "Main Score": None}
    for model in ("one", "two"):
        texts = [Texts(instance=0), Texts(instance=1, scores=scores), Texts(instance=2, state="error")]
        write_run(tmp_path / "results" / model, texts)
    address = write_folder([tmp_path / "results"], tmp_path / "page").path.as_uri()
    with chromium.page(width=1280 if is_dark else 360, is_dark=is_dark) as (page, _):
        page.set_content("<p></p>")
        for view in (*VIEWS, "episode", "side"):
            opened(page, address)
            ids = page.evaluate("JSON.parse(document.querySelector('#start').textContent).ids")
            key = f"&g={ids['games'][0]}&x={ids['experiments'][0]}&m={ids['models'][0]}&i=0&p=1&call=0&q=tree"
            opened(
                page, address, f"#view={view}{key if view in ('episode', 'side', 'instances', 'search') else ''}"
            )
            found = Axe().run(page).response["violations"]
            serious = [each for each in found if each["impact"] in ("serious", "critical")]
            assert not serious, (view, [(each["id"], each["nodes"][0]["html"][:200]) for each in serious])
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), view


def test_a_wide_table_is_not_cut_in_print(tmp_path: Path, chromium: Chromium) -> None:
    shown = [Texts(game=f"game_{number}", instance=number) for number in range(12)]
    write_run(tmp_path / "results" / "a-model-with-quite-a-long-name", shown)
    address = write_folder([tmp_path / "results"], tmp_path / "page").path.as_uri()
    with chromium.page() as (page, _):
        page.set_viewport_size({"width": 1020, "height": 700})  # A4, landscape
        opened(page, address)
        page.emulate_media(media="print")
        assert page.evaluate("document.querySelectorAll('thead th').length") > 24
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
