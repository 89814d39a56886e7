"""`clem export --to sft|rollouts|dpo`: rows are what was sent and received, and nothing is left out silently."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from clemcore import cli
from clemcore.clemgame.layout.episodes import read_episodes
from clemcore.clemgame.store import StoredCall
from clemcore.clemgame.training import Filters, export_training
from clemcore.clemgame.training.rows import ids_of
from clemcore.clemgame.training.views import Turn
from clemcore.errors import StoreError
from support.echo_game import MASTER, write_game

# The first prompt of an instance is always the same, and the score is the first number that was said.
PREFERENCES = (
    MASTER.replace(" {random.random():.6f}", "")
    .replace('f"SAY {random.randrange(1000)}"', 'f"SAY {random.randrange(1, 9)}"')
    .replace('"said", len(self.said)', '"said", int(self.said[0].split()[1])')
)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def _play(
    master: str = MASTER, *, instances: int = 5, epochs: int = 1, model: str = "mock", rounds: int = 2
) -> None:
    game = write_game(Path(), instances=instances, rounds=rounds)
    (game / "master.py").write_text(master, encoding="utf-8")
    assert cli.main(["run", "-g", "echo", "-m", model, "--epochs", str(epochs), "-l", "12"]) == 0
    assert cli.main(["score"]) == 0


def _rows(path: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in Path(path).read_text(encoding="utf-8").splitlines()]


def _change_scores(value: Any) -> None:
    path = next(Path("results").rglob("scores.json"))
    scores = json.loads(path.read_text())
    scores["episode scores"]["Main Score"] = value
    path.write_text(json.dumps(scores))


@pytest.mark.slow
class TestConversations:
    def test_each_player_has_a_conversation_as_it_was_sent(self, here: Path) -> None:
        _play()
        assert cli.main(["export", "results/mock", "--to", "sft", "-o", "data", "--canary", "canary 7"]) == 0
        rows = _rows("data/train.jsonl")
        assert len(rows) == 10
        assert {row["as_sent"] for row in rows} == {None}  # a program is not sent the whole conversation
        assert {row["canary"] for row in rows} == {"canary 7"}
        for row in rows:
            assert [message["role"] for message in row["messages"]] == ["user", "assistant"] * 2
        episode = next(read_episodes("results/mock"))
        said = [call.text for call in episode.calls() if call.player == "Player 2"]
        assert [each["content"] for each in rows[1]["messages"] if each["role"] == "assistant"] == said
        card = Path("data/README.md").read_text()
        assert hashlib.sha256(Path("data/train.jsonl").read_bytes()).hexdigest() in card
        assert "canary 7" in card
        assert "licence not stated" in card

    def test_a_view_that_forgets_is_not_as_sent(self, here: Path) -> None:
        config = {"responses": [f"SAY {number}" for number in range(8)]}
        entry = {"model_name": "scripted", "backend": "_player_programmed", "model_config": config}
        Path("model_registry.json").write_text(json.dumps([entry]))
        forgets = "def get_perspective(self):\n        return []\n\n    def _custom_response"
        for master, as_sent in ((MASTER, True), (MASTER.replace("def _custom_response", forgets), False)):
            _play(master, instances=1, model="scripted")
            export_training("results/scripted", "sft", "data", force=True)
            assert [row["as_sent"] for row in _rows("data/train.jsonl")] == [as_sent] * 2
            shutil.rmtree("results")

    def test_filters_and_what_they_left_out(self, here: Path) -> None:
        _play(PREFERENCES, instances=6)
        scores = [each.scores["episode scores"]["Main Score"] for each in read_episodes("results")]  # type: ignore[index]
        least = sorted(scores)[3]
        filters = Filters(min_score=least, roles=("Player 1",))
        exported = export_training("results", "sft", "data", filters=filters)
        assert exported.rows == {"train": sum(score >= least for score in scores)}
        assert {row["player"] for row in _rows("data/train.jsonl")} == {"Player 1"}
        assert any(note.startswith("score: ") for note in exported.notes)

    @pytest.mark.parametrize(
        ("filters", "said"),
        [
            (Filters(outcomes=("aborted",)), r"'outcome' leaves nothing: 0 of 2 episodes \(left out: success: 2\)"),
            (Filters(min_score=1000), "'score' leaves nothing.*Main Score 40: 2"),
            (Filters(roles=("Speeker",)), r"'role' leaves nothing.*Speaker \(Player 1\): 2"),
            (Filters(models=("other",)), "'model' leaves nothing.*mock: 4"),
        ],
    )
    def test_a_filter_that_leaves_nothing_is_named(self, here: Path, filters: Filters, said: str) -> None:
        _play(instances=2)
        with pytest.raises(StoreError, match=said):
            export_training("results/mock", "sft", "data", filters=filters)
        assert not Path("data").exists()

    @pytest.mark.parametrize(
        ("limits", "said"),
        [
            ({"min_score": float("nan")}, "min_score must be a number, not NaN"),
            ({"max_score": float("nan")}, "max_score must be a number, not NaN"),
            ({"min_score": 90, "max_score": 10}, "no score can pass: min_score is 90 and max_score is 10"),
        ],
    )
    def test_limits_that_no_score_can_meet_are_refused(self, limits: dict[str, float], said: str) -> None:
        with pytest.raises(StoreError, match=said):
            Filters(**limits)  # type: ignore[arg-type]

    @pytest.mark.parametrize("fails_at", ["train.jsonl", "README.md"])
    def test_a_full_disk_leaves_nothing_behind(
        self, here: Path, monkeypatch: pytest.MonkeyPatch, fails_at: str
    ) -> None:
        _play(instances=2)
        export_training("results/mock", "sft", "data")
        before = {path.name: path.read_bytes() for path in Path("data").iterdir()}
        full = Path("/dev/full")
        if not full.exists():
            pytest.skip("there is no /dev/full")
        open_it = Path.open

        def opened(self: Path, *args: Any, **kwargs: Any) -> Any:
            if f".{fails_at}." in self.name:
                self.touch()
                self = full
            return open_it(self, *args, **kwargs)

        monkeypatch.setattr(Path, "open", opened)
        with pytest.raises(OSError, match=f"cannot be written: No space.*data/{fails_at}"):
            export_training("results/mock", "sft", "data", force=True, canary="other")
        assert {path.name: path.read_bytes() for path in Path("data").iterdir()} == before

    def test_files_are_replaced_on_demand_only(self, here: Path) -> None:
        _play(instances=3)
        export_training("results/mock", "sft", "data", split=0.7)
        before = Path("data/train.jsonl").read_bytes()
        with pytest.raises(StoreError, match=r"data/train.jsonl, data/test.jsonl, data/README.md exists already"):
            export_training("results/mock", "sft", "data")
        assert Path("data/train.jsonl").read_bytes() == before
        export_training("results/mock", "sft", "data", force=True)
        assert sorted(path.name for path in Path("data").iterdir()) == ["README.md", "train.jsonl"]

    def test_no_instance_is_in_two_splits(self, here: Path) -> None:
        game = write_game(Path(), instances=8)
        path = game / "in" / "instances.json"
        content = json.loads(path.read_text())
        content["experiments"][0]["game_instances"][5]["word"] = "w00"  # the same instance under another number
        path.write_text(json.dumps(content))
        assert cli.main(["run", "-g", "echo", "-m", "mock", "--epochs", "2"]) == 0
        for seed in range(4):
            export_training("results/mock", "sft", f"data{seed}", split=0.5, split_seed=seed)
            train, test = (
                {row["game_id"] for row in _rows(f"data{seed}/{name}.jsonl")} for name in ("train", "test")
            )
            assert train | test == set(range(8))
            assert not train & test
            assert (0 in train) == (5 in train)


@pytest.mark.slow
def test_tables_have_a_row_for_each_episode_and_call(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _play(instances=3)
    _change_scores(float("nan"))
    assert cli.main(["export", "results", "--to", "jsonl", "-o", "tables"]) == 0
    episodes, calls = _rows("tables/episodes.jsonl"), _rows("tables/calls.jsonl")
    assert sorted(row["main_score"] or 0 for row in episodes) == [0, 40, 40]
    assert [row["main_score"] for row in episodes] == [row["metrics"]["Main Score"] for row in episodes]
    assert len(calls) == sum(len(each.calls()) for each in read_episodes("results")) == 12
    assert cli.main(["export", "results", "--to", "jsonl", "-o", "tables"]) == 2
    assert "tables/episodes.jsonl, tables/calls.jsonl exists already" in capsys.readouterr().err
    assert cli.main(["export", "results", "--to", "jsonl", "-o", "tables", "--force"]) == 0
    assert cli.main(["export", "results", "--to", "jsonl", "-o", "tables", "--force", "--split", "0.5"]) == 2


@pytest.mark.slow
def test_parquet_has_the_rows_of_json(here: Path) -> None:
    arrow = pytest.importorskip("pyarrow.parquet", reason="needs the extra results")
    _play(instances=3)
    for kind in ("jsonl", "parquet"):
        assert cli.main(["export", "results", "--to", kind, "-o", "tables"]) == 0
    for name in ("episodes", "calls"):
        rows = arrow.read_table(f"tables/{name}.parquet").to_pylist(maps_as_pydicts="strict")
        assert rows == _rows(f"tables/{name}.jsonl")


@pytest.mark.slow
class TestPairs:
    def test_answers_to_the_same_prompt_are_compared(self, here: Path) -> None:
        _play(PREFERENCES, instances=3, epochs=3)
        export_training("results/mock", "dpo", "data")
        rows = _rows("data/train.jsonl")
        firsts = [row for row in rows if len(row["prompt"]) == 1 and row["player"] == "Player 1"]
        assert firsts
        for row in firsts:
            chosen, rejected = (int(row[name][0]["content"].split()[1]) for name in ("chosen", "rejected"))
            assert row["margin"] == 10 * (chosen - rejected) > 0
            assert row["prompt"][0]["content"] == f"Game {row['game_id']}. Say w0{row['game_id']}."
        with pytest.raises(StoreError, match="no difference of at least 1000"):
            export_training("results/mock", "dpo", "other", min_margin=1000)

    def test_without_a_common_prefix_there_are_no_pairs(self, here: Path) -> None:
        _play(epochs=2)
        with pytest.raises(StoreError, match="no common prefix"):
            export_training("results/mock", "dpo", "data")

    def test_one_episode_has_nothing_to_compare(self, here: Path) -> None:
        _play()
        with pytest.raises(StoreError, match="clem run --epochs 2"):
            export_training("results/mock", "dpo", "data")


@pytest.mark.slow
class TestRewards:
    @pytest.mark.parametrize(
        ("value", "said"),
        [
            (float("nan"), "'Main Score' is nan"),
            (None, "NaN .stored as null"),
            ("high", "is str 'high', not a number"),
        ],
    )
    def test_a_reward_that_is_not_a_number_is_named(self, here: Path, value: Any, said: str) -> None:
        _play(instances=2)
        _change_scores(value)
        with pytest.raises(StoreError, match=f"{said}.*instance_0000"):
            export_training("results/mock", "rollouts", "data")
        exported = export_training("results/mock", "rollouts", "data", missing_reward="skip")
        assert exported.rows == {"train": 4}
        assert any("left out" in note for note in exported.notes)
        export_training("results/mock", "rollouts", "data", missing_reward=0, force=True)
        assert {row["reward"] for row in _rows("data/train.jsonl")} == {0.0, 40.0}

    def test_without_a_reward_no_row_is_left(self, here: Path) -> None:
        _play(instances=1)
        _change_scores(None)
        with pytest.raises(StoreError, match=r"no row to write(.|\n)*views without a reward, left out.*: 2"):
            export_training("results/mock", "rollouts", "data", missing_reward="skip")
        assert not Path("data").exists()

    @pytest.mark.parametrize("options", [{"min_margin": float("nan")}, {"missing_reward": float("inf")}])
    def test_numbers_that_nothing_compares_with_are_refused(self, options: dict[str, Any]) -> None:
        with pytest.raises(StoreError, match="finite number"):
            export_training("results/mock", "dpo", "data", **options)

    @pytest.mark.parametrize("part", ["episode scores", "round scores", "turn scores"])
    def test_scores_of_another_form_are_named(self, here: Path, part: str) -> None:
        _play(instances=1)
        path = next(Path("results").rglob("scores.json"))
        path.write_text(json.dumps({part: 3}))
        with pytest.raises(StoreError, match=f'scores.json: "{part}" must be an object, not 3'):
            export_training("results/mock", "rollouts", "data", turn_reward="Events", missing_reward=0)

    @pytest.mark.parametrize(("part", "wanted"), [("turns", "a list"), ("players", "an object")])
    def test_interactions_of_another_form_are_named(self, here: Path, part: str, wanted: str) -> None:
        _play(instances=1)
        Path("results/mock/store.sqlite3").unlink()
        path = next(Path("results").rglob("interactions.json"))
        path.write_text(json.dumps({part: 3}))
        with pytest.raises(StoreError, match=f'interactions.json: "{part}" must be {wanted}, not 3'):
            export_training("results/mock", "sft", "data")

    def test_a_metric_that_no_episode_has_is_refused(self, here: Path) -> None:
        _play(instances=1)
        cases: list[tuple[str, dict[str, Any]]] = [
            ("rollouts", {}),
            ("rollouts", {"missing_reward": 0}),
            ("sft", {}),
            ("dpo", {}),
        ]
        for kind, more in cases:
            with pytest.raises(
                StoreError, match=r"--reward: no episode has this metric: .*'Main Scor'; did you mean 'Main Score'"
            ):
                export_training("results/mock", kind, "data", reward="Main Scor", **more)
        with pytest.raises(
            StoreError, match=r"--turn-reward: no round has this metric: .*'events'; did you mean 'Events'"
        ):
            export_training("results/mock", "rollouts", "data", turn_reward="events")
        path = next(Path("results").rglob("scores.json"))
        path.unlink()
        for store in Path("results/mock").glob("store*"):
            store.unlink()
        with pytest.raises(
            StoreError, match=r"--turn-reward: no round has this metric: the episode is not scored; run"
        ):
            export_training("results/mock", "rollouts", "data", turn_reward="Events", missing_reward=0)
        assert not Path("data").exists()

    def test_a_metric_that_some_episodes_have_stays_missing_in_the_others(self, here: Path) -> None:
        _play(instances=2)
        path = next(Path("results").rglob("scores.json"))
        scores = json.loads(path.read_text())
        path.write_text(json.dumps({**scores, "round scores": {}, "episode scores": {"Main Score": 1, "Own": 2}}))
        export_training("results/mock", "sft", "data", reward="Own")
        assert {row["score"] for row in _rows("data/train.jsonl")} == {None, 2.0}
        export_training("results/mock", "rollouts", "turns", turn_reward="Events")
        assert {row["why_no_turn_reward"] is None for row in _rows("turns/train.jsonl")} == {True, False}

    def test_turns_have_the_reward_of_their_round(self, here: Path) -> None:
        _play(instances=1)
        export_training("results/mock", "rollouts", "data", turn_reward="Events")
        scores = next(read_episodes("results/mock")).scores
        assert scores is not None
        for row in _rows("data/train.jsonl"):
            assert row["turn_reward"] == scores["round scores"][str(row["round"])]["Events"]


def test_a_run_that_is_not_there_is_said_before_files_that_exist(here: Path) -> None:
    Path("data").mkdir()
    for name in ("train.jsonl", "episodes.jsonl"):
        Path("data", name).write_text("")
    with pytest.raises(StoreError, match="nothere does not exist"):
        export_training("nothere", "sft", "data")
    assert cli.main(["export", "nothere", "--to", "jsonl", "-o", "data"]) == 2


@pytest.mark.parametrize("canary", ["", " ", "two\nlines", "two\rlines", "a\u2028b", "\x1b[31m", 7])
def test_a_canary_is_a_line(here: Path, canary: Any) -> None:
    with pytest.raises(StoreError, match="a canary is a line of text"):
        export_training("results", "sft", "data", canary=canary)


@pytest.mark.slow
class TestRollouts:
    def test_a_program_has_no_token_ids(self, here: Path) -> None:
        _play(instances=1)
        export_training("results/mock", "rollouts", "data")
        assert {row["why_no_ids"] for row in _rows("data/train.jsonl")} == {"a program gave the answer"}
        with pytest.raises(StoreError, match="Player 1, round 0: there are no token ids"):
            export_training("results/mock", "rollouts", "other", require_ids=True)

    def test_ids_are_what_the_local_model_received_and_returned(self, here: Path, tiny_chat: Path) -> None:
        torch = pytest.importorskip("torch")
        from transformers import AutoModelForCausalLM, AutoTokenizer

        config = {"premade_chat_template": True, "eos_to_cull": r"<\|im_end\|>"}
        entry = {"model_name": "tiny", "backend": "huggingface_local", "huggingface_id": str(tiny_chat)}
        Path("model_registry.json").write_text(json.dumps([{**entry, "model_config": config}]))
        _play(model="tiny", instances=1)
        export_training("results/tiny", "rollouts", "data", require_ids=True)
        rows = _rows("data/train.jsonl")
        calls = {
            (each.key.game_id, call.number): json.loads(call.record)
            for each in read_episodes("results/tiny")
            for call in each.calls()
        }
        assert len(rows) == len(calls) == 4
        model, tokenizer = AutoModelForCausalLM.from_pretrained(tiny_chat), AutoTokenizer.from_pretrained(tiny_chat)
        for row in rows:
            prompt, completion = row["prompt_ids"], row["completion_ids"]
            sent = calls[row["game_id"], row["call"]]["manipulated_prompt_obj"]["inputs"]
            assert tokenizer(sent, add_special_tokens=False).input_ids == prompt
            made = model.generate(torch.tensor([prompt]), do_sample=False, max_new_tokens=12)
            assert made[0].tolist() == prompt + completion
            assert row["assistant_mask"] == [0] * len(prompt) + [1] * len(completion)
            assert row["as_sent"] is True
            assert json.loads(row["scope"])["player"] == row["player"]

    def test_ids_and_log_probabilities_of_a_server(self) -> None:
        # The reply of a vLLM server to a call with return_token_ids and logprobs.
        content = [{"token": "Hi", "logprob": -0.5}, {"token": "", "logprob": -1}]
        choice = {"message": {"content": "Hi"}, "token_ids": [7, 2], "logprobs": {"content": content}}
        record = {"raw_response_obj": {"prompt_token_ids": [1, 5, 6], "choices": [choice]}, "clemcore": {}}
        call = StoredCall(0, "Player 1", 0, "model", "", "Hi", json.dumps(record).encode(), 1)
        row = ids_of(Turn([], "Hi", 0, None, call), "here")
        assert (row["prompt_ids"], row["completion_ids"]) == ([1, 5, 6], [7, 2])
        assert (row["assistant_mask"], row["logprobs"]) == ([0, 0, 0, 1, 1], [-0.5, -1.0])
        del content[1]
        call = call._replace(record=json.dumps(record).encode())
        with pytest.raises(StoreError, match="here: the record has 1 log probabilities for 2 tokens"):
            ids_of(Turn([], "Hi", 0, None, call), "here")

    def test_ids_that_were_changed_are_refused(self, here: Path, tiny_chat: Path) -> None:
        entry = {"model_name": "tiny", "backend": "huggingface_local", "huggingface_id": str(tiny_chat)}
        config = {"premade_chat_template": True, "eos_to_cull": r"<\|im_end\|>"}
        Path("model_registry.json").write_text(json.dumps([{**entry, "model_config": config}]))
        _play(model="tiny", instances=1, rounds=1)
        for path in Path("results/tiny").glob("store*"):
            path.unlink()
        path = next(Path("results/tiny").rglob("player_1.requests.json"))
        content = json.loads(path.read_text())
        content["calls"][0]["call"]["raw_response_obj"]["output_ids"][0] += 1
        path.write_text(json.dumps(content))
        with pytest.raises(StoreError, match="output_ids differ from their hash"):
            export_training("results/tiny", "rollouts", "data")
        assert not list(Path("data").glob("*")) if Path("data").exists() else True


def test_an_option_of_another_kind_is_refused(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["export", "results", "--to", "classic", "--outcome", "lose"]) == 2
    assert "--outcome goes with --to sft or dpo or rollouts, not with classic" in capsys.readouterr().err
    assert cli.main(["export", "results", "--to", "sft", "-o", "x", "--missing-reward", "0"]) == 2
    assert cli.main(["export", "results", "--to", "sft"]) == 2


def test_a_misspelt_outcome_is_refused() -> None:
    with pytest.raises(StoreError, match="Did you mean 'success'"):
        Filters(outcomes=("succes",))
