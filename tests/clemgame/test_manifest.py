"""run.json: what may change when a run is continued, and what is refused."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from clemcore import backends
from clemcore.clemgame.runs.lineups import line_ups_of
from clemcore.clemgame.runs.settings import RunSettings
from clemcore.clemgame.runs.watching import RunStatus
from clemcore.clemgame.store import manifest, run_folder
from clemcore.cli.status import _show
from clemcore.errors import RunError


def _game(name: str = "taboo", *, instances: int = 2, code: str = "c" * 64, word: str = "cat") -> Any:
    def episode(number: int) -> Any:
        key = SimpleNamespace(experiment="easy", game_id=number)
        return SimpleNamespace(
            key=key, experiment={"name": "easy"}, instance={"game_id": number, "word": f"{word}{number}"}
        )

    return SimpleNamespace(
        spec=SimpleNamespace(game_name=name, game_path=f"/games/{name}"),
        episodes=[episode(number) for number in range(instances)],
        sha256={"code": code, "resources": "r" * 64, "instances": "i" * 64},
    )


def _manifest(*games: Any, model: dict[str, Any] | None = None, **settings: Any) -> manifest.Json:
    line_up = line_ups_of(RunSettings(models=[model or {"model_name": "mock", "temperature": 0.5}]))[0]
    return manifest.describe(RunSettings(**settings), games or (_game(),), line_up.infos(), "0")


def _refused(old: manifest.Json, new: manifest.Json) -> list[str]:
    return [str(change) for change in manifest.compare(old, new).refused]


def test_the_same_command_continues() -> None:
    found = manifest.compare(_manifest(), _manifest())
    assert (found.refused, found.noted) == ([], [])


def test_more_games_instances_epochs_and_higher_limits_extend() -> None:
    old = _manifest(_game(instances=1), step_timeout=10.0, episode_timeout=5.0)
    new = _manifest(_game(instances=3), _game("wordle"), epochs=3, max_calls=900, budget=7.0, concurrency=3)
    assert _refused(old, new) == []
    whole = manifest.extended(old, new, [])
    assert whole["created"] == old["created"]
    section = whole[manifest.SECTION]
    assert (section["epochs"], section["limits"]["max_calls"]) == (3, 900)
    assert list(section["games"]) == ["taboo", "wordle"]
    assert sorted(section["games"]["taboo"]["experiments"]["easy"]["instances"]) == ["0", "1", "2"]


def test_a_part_of_a_run_forgets_nothing() -> None:
    old = _manifest(_game(), _game("wordle"), epochs=3)
    whole = manifest.extended(old, _manifest(_game(instances=1)), [])
    assert whole[manifest.SECTION]["games"] == old[manifest.SECTION]["games"]
    assert whole[manifest.SECTION]["epochs"] == 3


def test_what_determines_results_is_refused_with_old_and_new() -> None:
    old = _manifest()
    new = _manifest(
        _game(code="d" * 64, word="dog"),
        model={"model_name": "mock", "temperature": 0.7, "override": {"model_config": {"responses": ["Yes"]}}},
        seed=4,
        rng="process",
        max_calls=100,
    )
    assert _refused(old, new) == [
        "seed: 0 → 4",
        "rng: episode → process",
        "max_calls: 500 → 100",
        'model 1, model_config.responses: nothing → ["Yes"]',
        "model 1, generation argument temperature: 0.5 → 0.7",
        f"game 'taboo', code: SHA-256 {'c' * 12}… → SHA-256 {'d' * 12}…",
        "game 'taboo', experiment 'easy', instance 0: {} → {}".format(*_digests(old, new, number="0")),
        "game 'taboo', experiment 'easy', instance 1: {} → {}".format(*_digests(old, new, number="1")),
    ]


def _digests(*manifests: manifest.Json, number: str) -> list[str]:
    games = (each[manifest.SECTION]["games"]["taboo"] for each in manifests)
    return [game["experiments"]["easy"]["instances"][number] for game in games]


def test_versions_of_packages_are_noted_and_that_of_clemcore_is_refused() -> None:
    old = _manifest()
    new = copy.deepcopy(old)
    versions = new[manifest.SECTION]["versions"]
    assert versions["packages"]["click"]
    versions["packages"]["click"] = "0.1"
    versions["python"] = "3.99.0"
    found = manifest.compare(old, new)
    assert found.refused == []
    assert [change.what for change in found.noted] == ["the version of Python", "the package click"]
    versions["clemcore"] = "5.0.0"
    assert [change.what for change in manifest.compare(old, new).refused] == ["the version of clemcore"]


def test_how_often_a_service_is_asked_does_not_matter() -> None:
    spec = {"model_name": "m", "model_id": "m", "backend": "openai_compatible", "base_url": "http://127.0.0.1:1/v1"}
    config = {"requires_api_key": False}
    slow = _manifest(model={**spec, "model_config": {**config, "requests_per_minute": 5}})
    fast = _manifest(model={**spec, "model_config": {**config, "max_connections": 9}, "family": "m"})
    assert _refused(slow, fast) == []


def test_accepted_changes_are_listed() -> None:
    old, new = _manifest(), _manifest(seed=4)
    whole = manifest.extended(old, new, manifest.compare(old, new).refused)
    [change] = whole[manifest.SECTION]["changes"]
    assert (change["what"], change["old"], change["new"]) == ("seed", 0, 4)
    assert change["time"] == new["created"]


def test_the_file_has_no_secrets_and_the_keys_of_3_7_2(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_COMPATIBLE_API_KEY", "sk-very-secret-0123456789")
    spec = {"model_name": "m", "model_id": "m", "backend": "openai_compatible", "base_url": "http://127.0.0.1:1/v1"}
    model = {**spec, "user": "sk-very-secret-0123456789"}
    backends.get_model_for(model)  # from now on the key is known
    run_folder.write(tmp_path, _manifest(model=model))
    text = (tmp_path / "run.json").read_text(encoding="utf-8")
    assert "very-secret" not in text
    assert list(json.loads(text)) == ["clem_version", "created", "player_models", "games", "clemcore"]


def test_folders_of_other_programs_are_refused(tmp_path: Path) -> None:
    assert run_folder.read(tmp_path / "new") is None
    assert run_folder.read(tmp_path) is None
    (tmp_path / "thesis.tex").write_text("")
    with pytest.raises(RunError, match=r"is not a run: it holds 'thesis.tex' and no run.json"):
        run_folder.read(tmp_path)
    (tmp_path / "run.json").write_text('{"clem_version": "3.7.2", "games": {}}')
    with pytest.raises(RunError, match=r"clemcore 3.7.2 has written this folder"):
        run_folder.read(tmp_path)
    (tmp_path / "run.json").write_text('{"steps": 3}')
    with pytest.raises(RunError, match="another program has written this folder"):
        run_folder.read(tmp_path)
    (tmp_path / "run.json").write_text('{"clemcore": {"manifest_version": 99}}')
    with pytest.raises(RunError, match="a newer version of clemcore"):
        run_folder.read(tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="is a file, not a folder"):
        run_folder.read(tmp_path / "file")


def test_a_run_that_is_moved_aside_is_left_out(tmp_path: Path) -> None:
    folder = tmp_path / "mock"
    folder.mkdir()
    run_folder.write(folder, _manifest())
    assert run_folder.runs_in(tmp_path) == [folder] == run_folder.runs_in(folder)
    aside = run_folder.move_aside(folder)
    assert aside.name.startswith("mock.until_2")
    with pytest.raises(RunError, match="holds no run"):
        run_folder.runs_in(tmp_path)
    assert run_folder.runs_in(aside) == [aside]
    back = aside.rename(tmp_path / "again")  # its name is the mark, for all commands
    assert run_folder.runs_in(tmp_path) == [back]


def test_the_line_of_a_run_is_one_line_and_no_command(capsys: pytest.CaptureFixture[str]) -> None:
    _show(RunStatus("  ::error::x\n::warning::y\x1b[31m", {"played": 1}, errors=[("::error", "text")]))
    seen = capsys.readouterr()
    assert seen.out.count("\n") == 1
    assert seen.out.startswith(r"  \x3a:error::x\n::warning::y\x1b[31m: 1 episodes: 1 completed")
    assert seen.err == "  \\x3a:error: text\n"
