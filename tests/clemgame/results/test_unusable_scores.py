"""An episode whose scores cannot be used raises no clemscore: it counts as one without scores, everywhere."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from clemcore.clemgame.pages.folder import write_folder
from clemcore.clemgame.results.comparison import compare
from clemcore.clemgame.results.evaluation import evaluate
from support.clem import Clem
from support.shown_runs import Texts, write_run

WHOLE: dict[str, Any] = {"Aborted": 0, "Lose": 0, "Success": 1}
UNUSABLE = {
    "empty": "",
    "torn": '{"episode scores": {"Main Sc',
    "no object": '{"turn scores": {}}',
    "a text as the main score": '{"episode scores": {"Aborted": 0, "Main Score": "good"}}',
    "UTF-16": '{"episode scores": {"Aborted": 0, "Main Score": 90}}'.encode("utf-16"),
    "a number that is too large": '{"episode scores": {"Aborted": 0, "Main Score": 1e999}}',
    "a text as Aborted": '{"episode scores": {"Aborted": "no", "Main Score": 90}}',
}


@pytest.mark.parametrize("text", UNUSABLE.values(), ids=UNUSABLE.keys())
def test_an_episode_with_unusable_scores_is_unscored(tmp_path: Path, clem: Clem, text: str | bytes) -> None:
    results = tmp_path / "results"
    for name in ("one", "two"):
        shown = [Texts(instance=at, scores={**WHOLE, "Main Score": 10.0 + 40 * at}) for at in range(3)]
        write_run(results / name, shown)
    clem.ok("export", str(results / "one"), "--to", "classic")
    (results / "one" / "store.sqlite3").unlink()
    [worst] = (results / "one").rglob("instance_00000/scores.json")
    worst.write_bytes(text if isinstance(text, bytes) else text.encode())

    done = evaluate(results)
    assert [problem.place for problem in done.problems] == [worst]
    assert done.unknown == {("game", "one"): {"unscored": 1}}
    one, two = (done.figures["models"][name] for name in ("one", "two"))
    assert (one["clemscore"], one["counts"]["unscored"], one["counts"]["planned"]) == (None, 1, 3)
    assert one["bounds"][0] <= two["clemscore"] <= one["bounds"][1]

    written = write_folder([results], tmp_path / "page")
    assert len(written.problems) == 1
    assert "scores.json" in written.problems[0]
    page = written.path.read_text()
    start = json.loads(page.partition('id="start">')[2].partition("</script>")[0])
    assert start["results"]["models"]["one"]["counts"] == one["counts"]
    assert start["results"]["models"]["one"]["bounds"] == one["bounds"]

    compared = compare(["one", "two"], results, across=True)
    assert [problem.place for problem in compared.problems] == [worst]
    [difference, *_] = compared.figures["pairs"][0]["differences"]
    assert (difference["instances"], difference["left_out"]) == (2, 1)
