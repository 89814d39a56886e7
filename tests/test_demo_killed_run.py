"""examples/demo/killed_run.py: a run that is killed and resumed ends as one without a kill."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import pytest

from support.models import REPOSITORY, load_script


@pytest.fixture(scope="module")
def demo() -> ModuleType:
    return load_script(REPOSITORY / "examples" / "demo" / "killed_run.py")


@pytest.mark.slow
def test_a_killed_run_ends_as_one_without_a_kill(demo: ModuleType, tmp_path: Path) -> None:
    demo.prepare(tmp_path)
    options = ["--epochs", "10"]
    killed = demo.play_and_kill(tmp_path, "mock", 360, options)
    assert 180 <= killed.finished_before < 360
    assert killed.finished == 360
    assert killed.turns() == demo.play(tmp_path, "mock", options, "without-kill").turns()
    _, *rows = [line.split() for line in killed.table()]
    assert [row[0] for row in rows] == ["word_dominoes", "lineup"]
    for _, episodes, aborted, lost, won, main in rows:
        assert int(episodes) == 180 == int(aborted) + int(lost) + int(won)
        assert 0 < float(main) < 100


@pytest.mark.slow
def test_a_command_that_fails_shows_what_it_printed(demo: ModuleType, tmp_path: Path) -> None:
    demo.prepare(tmp_path)
    with pytest.raises(demo.RunError, match=r"(?s)ended with status 2.*no-such-model"):
        demo.play(tmp_path, "no-such-model", [], "results")
