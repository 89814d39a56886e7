"""The page of results as files: what is in them, what is refused, and what of damaged results is shown."""

from __future__ import annotations

import base64
import html
import json
import re
import zlib
from pathlib import Path
from typing import Any

import pytest

from clemcore._core import page_files
from clemcore.clemgame.pages.folder import MOST_IN_ONE_FILE, hashes, write_folder, write_single
from clemcore.clemgame.pages.index import kept_intervals
from clemcore.clemgame.pages.server import KnownCalls, Snapshot
from clemcore.clemgame.results.evaluation import evaluate
from clemcore.errors import RunError, StoreError
from support.clem import Clem
from support.shown_runs import HOSTILE, Texts, folder_of, name_of, start_of, write_run

PAGES = Path(__file__).parents[3] / "rust" / "clemcore" / "pages"


def part_of(folder: Path, name: str) -> Any:
    inner = "" if name[0] in "rp" else f"{int(name[1:]) // 500}/"
    text = (folder / f"data/{inner}{name}.js").read_text()
    found = re.fullmatch(r'clemData\("([a-z0-9]+)","([A-Za-z0-9+/=]+)"\);\n', text)
    assert found, text[:100]
    assert found[1] == name
    return json.loads(zlib.decompress(base64.b64decode(found[2])))


def several(count: int = 3) -> list[Texts]:
    return [Texts(instance=number, answer=f"Answer {number}") for number in range(count)]


def test_the_numbers_are_those_of_clem_eval(tmp_path: Path) -> None:
    texts = several()
    texts[1].scores = {"Aborted": 1, "Lose": 0, "Main Score": None}
    texts[2].scores = {"Aborted": 0, "Lose": 1, "Main Score": 33.3}
    write_run(tmp_path / "results" / "a", texts)
    write_run(tmp_path / "results" / "b", [*several(2), Texts(instance=2, state="error"), Texts(game="other")])
    done = write_folder([tmp_path / "results"], tmp_path / "page")
    assert (done.episodes, done.problems) == (7, [])
    start = start_of((tmp_path / "page" / "index.html").read_text())
    evaluate(tmp_path / "results")
    wanted = json.loads((tmp_path / "results" / "results.json").read_text())
    for name in ("pairs", "strengths"):  # only clem eval reads who plays in a line-up
        wanted.pop(name)
    for model in wanted["models"].values():
        model.pop("roles")
        model.pop("people")
    assert start["results"] == wanted
    assert start["summary"] == "7 episodes, 2 models, 2 games"
    assert sum(start["cells"]["n"]) == 7
    rows = part_of(tmp_path / "page", "r0")
    assert rows["o"] == "palppe"
    assert part_of(tmp_path / "page", "t0")[0] == ["Answer 0"]
    first = part_of(tmp_path / "page", "c0")[0]
    assert first["view"]["calls"][0]["prompt"][1] == ["user", "Guess!"]
    assert first["place"] == "game/easy/instance_00000"
    assert start["kinds"] == ["aborted by the game: more", "more: more in line N"]


def test_intervals_that_clem_eval_kept_are_used_and_change_nothing(tmp_path: Path) -> None:
    results = tmp_path / "results"
    write_run(results / "a", several())
    write_run(results / "b", [*several(2), Texts(instance=2, state="error")])
    write_folder([results], tmp_path / "first")
    assert kept_intervals([results]) == b""
    evaluate(results)
    kept = kept_intervals([tmp_path / "none", results])
    # They are found by what they come from, so equal ones are used.
    assert (
        Snapshot([results], b"", KnownCalls()).intervals
        == Snapshot([results], kept, KnownCalls()).intervals
        == kept
    )
    write_folder([results], tmp_path / "second")
    first, second = (start_of((tmp_path / name / "index.html").read_text()) for name in ("first", "second"))
    assert first["results"] == second["results"]


def test_no_text_is_a_part_of_a_script_or_of_the_frame(tmp_path: Path) -> None:
    for number, text in enumerate(HOSTILE):
        texts = Texts(name_of(text), name_of(text), text, text, text)
        write_run(tmp_path / "results" / f"{number}{folder_of(text)}", [texts])
    done = write_folder([tmp_path / "results"], tmp_path / "page")
    assert done.episodes == len(HOSTILE)
    page = (tmp_path / "page" / "index.html").read_text()
    island = re.search(r'id="start">(.*?)</script>', page, re.DOTALL)
    assert island
    assert not set("<>&\u2028\u2029") & set(island[1])
    assert "hacked" not in page.replace(island[1], "")
    assert (tmp_path / "page" / "page.js").read_text() == page_files()[1]
    for number in range(len(start_of((tmp_path / "page" / "index.html").read_text())["games"])):
        part_of(tmp_path / "page", f"r{number}")  # base64 and nothing else
    single = write_single([tmp_path / "results"], tmp_path / "page.html").path.read_text()
    assert "window.hacked" not in re.sub(r'id="start">.*?</script>', "", single, flags=re.DOTALL)


def test_the_policy_allows_what_belongs_to_the_page(tmp_path: Path) -> None:
    write_run(tmp_path / "run", several())
    write_folder([tmp_path / "run"], tmp_path / "page")
    page = html.unescape((tmp_path / "page" / "index.html").read_text())
    rest = "base-uri 'none'; form-action 'none'; require-trusted-types-for 'script'; trusted-types clem\""
    assert f"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; {rest}" in page
    single = html.unescape(write_single([tmp_path / "run"], tmp_path / "one.html").path.read_text())
    style, script = hashes()
    own = f"script-src 'sha256-{script}'; style-src 'sha256-{style}'"
    assert f"default-src 'none'; {own}; img-src data:; {rest}" in single


def test_no_template_turns_the_escaping_off() -> None:
    sources = [path for path in PAGES.iterdir() if path.suffix in (".html", ".tex")]
    assert len(sources) >= 3
    for source in sources:
        assert not re.search(r"\|\s*safe|autoescape|raw\b", source.read_text()), source


def test_the_script_never_makes_elements_of_texts() -> None:
    script = (PAGES / "page.js").read_text()
    for forbidden in ("innerHTML", "outerHTML", "insertAdjacent", "document.write", "eval(", "Function(", "fetch("):
        assert forbidden not in script
    assert max(len((PAGES / name).read_bytes()) for name in ("page.js", "page.css")) <= 40_000


def test_an_earlier_page_is_replaced_and_other_folders_are_left_alone(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", several())
    write_folder([run], tmp_path / "page")
    write_folder([run], tmp_path / "page")
    assert not list(tmp_path.glob(".page.*"))
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("x")
    with pytest.raises(RunError, match="mine holds other files, which would be lost"):
        write_folder([run], tmp_path / "mine")
    with pytest.raises(StoreError, match="holds no episodes"):
        write_folder([tmp_path / "mine"], tmp_path / "page")
    with pytest.raises(StoreError, match="does not exist"):
        write_folder([tmp_path / "nothing"], tmp_path / "page")
    assert (tmp_path / "page" / "index.html").is_file()


def test_one_file_takes_a_thousand_episodes(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", several(MOST_IN_ONE_FILE + 1))
    with pytest.raises(RunError, match="One file takes 1,000 episodes, and there are more"):
        write_single([run], tmp_path / "page.html")
    assert not (tmp_path / "page.html").exists()


def test_one_file_replaces_nothing_but_an_earlier_page(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", several(2))
    page, mine = tmp_path / "page.html", tmp_path / "mine.html"
    page.touch()
    for _ in range(2):
        write_single([run], page)
    mine.write_text("<!DOCTYPE html><p>my thesis</p>")
    with pytest.raises(RunError, match=r"mine\.html is not a page of clem, and would be lost"):
        write_single([run], mine)
    assert mine.read_text() == "<!DOCTYPE html><p>my thesis</p>"


def test_an_empty_run_has_an_empty_page(tmp_path: Path) -> None:
    write_run(tmp_path / "run", [])
    assert write_folder([tmp_path / "run"], tmp_path / "page").episodes == 0
    assert start_of((tmp_path / "page" / "index.html").read_text())["results"]["models"] == {}


def test_what_cannot_be_read_is_named_and_the_rest_is_shown(tmp_path: Path, clem: Clem) -> None:
    run = write_run(tmp_path / "results" / "run", several(4))
    clem.ok("export", str(run), "--to", "classic")
    (run / "store.sqlite3").unlink()
    folders = sorted(run.rglob("instance_0000?"))
    (folders[0] / "interactions.json").write_text('{"turns": [[')
    (folders[1] / "scores.json").write_text('{"episode scores": {"Aborted": 0, "Main Score": NaN}}')
    (folders[2] / "scores.json").write_text("")
    for path in folders[3].glob("*.requests.json"):
        path.write_bytes(path.read_bytes()[:-40])
    done = write_folder([tmp_path / "results"], tmp_path / "page")
    assert done.episodes == 4
    told = "\n".join(done.problems)
    for folder in (folders[0], folders[2], folders[3]):
        assert str(folder) in told
    assert part_of(tmp_path / "page", "c0")[0]["problem"].startswith("Cannot be read: ")
    assert part_of(tmp_path / "page", "r0")["s"][1] is None


def test_a_score_that_no_float_holds_is_named_and_the_rest_is_shown(tmp_path: Path) -> None:
    texts = several(3)
    texts[1].scores = {"Aborted": 0, "Lose": 0, "Main Score": 10**400}
    write_run(tmp_path / "results" / "run", texts)
    done = write_folder([tmp_path / "results"], tmp_path / "page")
    assert done.episodes == 3
    assert ["over 300 digits" in problem for problem in done.problems] == [True]


def test_a_damaged_store_shows_what_can_be_read(tmp_path: Path) -> None:
    run = write_run(tmp_path / "results" / "a", several(40))
    write_run(tmp_path / "results" / "b", several(2))
    data = bytearray((run / "store.sqlite3").read_bytes())
    (run / "store.sqlite3").write_bytes(data[: len(data) // 2])
    done = write_folder([tmp_path / "results"], tmp_path / "page")
    assert done.episodes >= 2
    assert any(str(run) in problem for problem in done.problems)


def test_of_two_episodes_with_the_same_names_the_first_counts(tmp_path: Path) -> None:
    one = write_run(tmp_path / "one" / "model", several(1))
    two = write_run(tmp_path / "two" / "model", several(1))
    done = write_folder([one, two], tmp_path / "page")
    assert done.episodes == 1
    assert done.problems == ["A second episode has the same names and does not count: model, game, easy, 0, 1"]


def test_the_command_says_where_the_page_is(tmp_path: Path, clem: Clem) -> None:
    write_run(tmp_path / "run", several())
    page = clem.ok("page", str(tmp_path / "run"), "-o", str(tmp_path / "out")).strip()
    assert page == str(tmp_path / "out" / "index.html")
    one = clem.ok("page", str(tmp_path / "run"), "--single", str(tmp_path / "one.html")).strip()
    assert Path(one).stat().st_size < 200_000
    (tmp_path / "empty").mkdir()
    assert "holds no episodes" in clem.fails("page", str(tmp_path / "empty"), "-o", str(tmp_path / "x"), status=2)


def test_a_call_is_asked_again_without_its_text_on_the_command_line(tmp_path: Path, clem: Clem) -> None:
    record = {
        "manipulated_prompt_obj": {"model": "m", "messages": [{"role": "user", "content": "Hello?"}]},
        "clemcore": {"model_spec": {"model_name": "mock"}, "gen_args": {"asked": {"temperature": 0.5}}},
    }
    run = write_run(tmp_path / "run", [Texts(record=record), Texts(instance=1)])
    place = str(run / "game" / "easy" / "instance_00000")
    found = json.loads(clem.ok("respond", "--again", place, "--call", "0", "--json"))
    assert found["prompt"] == [{"role": "user", "content": "Hello?"}]
    assert "needs --call" in clem.fails("respond", "--again", place, status=2)
    assert "leave out other messages" in clem.fails(
        "respond", "--again", place, "--call", "0", "-m", "mock", "Hi", status=2
    )
    assert "has no call 7; it has 1" in clem.fails("respond", "--again", place, "--call", "7")
    assert "is not in a run" in clem.fails("respond", "--again", str(tmp_path), "--call", "0")
    other = place.replace("00000", "00009")
    assert "has no episode game/easy/instance_00009" in clem.fails("respond", "--again", other, "--call", "0")
