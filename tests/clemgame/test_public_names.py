"""Every name that games of any release import is there, and importing the framework stays light."""

from __future__ import annotations

import importlib
import subprocess
import sys

import pytest

from clemcore import clemgame

# clemcore.clemgame.__all__ of 3.7.2.
NAMES = [
    "GameBenchmark",
    "GameBenchmarkCallback",
    "GameBenchmarkCallbackList",
    "GameStep",
    "GameSnapshot",
    "Player",
    "GameState",
    "GameMaster",
    "DialogueGameMaster",
    "ClemGameEnv",
    "ClemGameAction",
    "ClemGameObservation",
    "ClemGameState",
    "env",
    "gym_env",
    "GameScorer",
    "GameSpec",
    "GameRegistry",
    "GameInstances",
    "GameInstanceGenerator",
    "episode_results_folder_callbacks",
    "EpochResultsFolder",
    "EpochResultsFolderCallback",
    "EpisodeResultsFolder",
    "EpisodeResultsFolderCallback",
    "ResultsFolder",
    "RunFileSaver",
    "SignalFileSaver",
    "InstanceFileSaver",
    "ExperimentFileSaver",
    "InteractionsFileSaver",
    "GameInteractionsRecorder",
    "GameResourceLocator",
    "ResponseError",
    "ProtocolError",
    "ParseError",
    "GameError",
    "RuleViolationError",
    "NotApplicableError",
]
OLDER = ["GameRecorder", "DefaultGameRecorder", "GameInstanceIterator", "get_logger"]
WITH_EXTRA = ["ClemGameEnv", "ClemGameAction", "ClemGameObservation", "ClemGameState", "env", "gym_env"]


PASSED_ON = [
    ("benchmark", "GameMaster"),
    ("envs.pettingzoo.master", "Outcome"),
    ("envs.pettingzoo.wrappers", "ModelSpec"),
    ("instances", "load_json"),
    ("runners.batchwise", "BatchGenerativeModel"),
    ("runners.branching", "GameState"),
    ("transcripts.builder", "store_file"),
]


@pytest.mark.parametrize(("module", "name"), PASSED_ON)
def test_names_that_a_module_of_3_7_2_only_imported(module: str, name: str) -> None:
    if module.startswith("envs"):
        pytest.importorskip("pettingzoo")
    found = importlib.import_module(f"clemcore.clemgame.{module}")
    assert getattr(found, name).__name__ == name
    assert not hasattr(found, "GameMister")


@pytest.mark.parametrize("name", [*NAMES, *OLDER])
def test_public_names(name: str) -> None:
    assert getattr(clemgame, name) is not None
    if name not in (*OLDER, *WITH_EXTRA):
        assert name in dir(clemgame)


@pytest.mark.parametrize(
    ("module", "names"),
    [
        ("clemgame.master", "ParseError GameError RuleViolationError GameState Outcome Player GameMaster"),
        ("clemgame.resources", "load_json store_file store_json store_results_file load_packaged_file"),
        ("clemgame.metrics", "METRIC_REQUEST_SUCCESS METRIC_PLAYED BENCH_SCORE KEY_META KEY_EPISODE_SCORES"),
        ("clemgame.legacy.scorer", "GameScorer KEY_META KEY_PLAYERS KEY_TURN_SCORES KEY_EPISODE_SCORES"),
        ("clemgame.events", "GameEventLogger GameEventSource"),
        ("clemgame.recorder", "GameInteractionsRecorder EventCallRecorder"),
        (
            "clemgame.clemgame",
            "Player GameMaster DialogueGameMaster GameScorer GameBenchmark GameInstanceGenerator",
        ),
        ("clemgame.file_utils", "load_json load_csv load_template store_file file_path project_root"),
        ("clemgame.string_utils", "remove_punctuation"),
        ("utils.log_utils", "temporary_loglevel"),
    ],
)
def test_names_of_modules(module: str, names: str) -> None:
    found = importlib.import_module(f"clemcore.{module}")
    for name in names.split():
        assert hasattr(found, name), name


def test_old_top_level_names_lead_to_the_same_classes() -> None:
    code = (
        "from clemcore import compat; compat.install()\n"
        "from clemgame.clemgame import Player\n"
        "from clemgame import file_utils, get_logger\n"
        "import clemcore.clemgame as today\n"
        "assert Player is today.Player and get_logger('x').name == 'x' and file_utils.load_json"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_runners_are_attributes_as_after_an_import_of_the_command_line_of_3_7_2() -> None:
    code = "from clemcore.clemgame import runners; print(runners.sequential, runners.dispatch, runners.batchwise)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "batchwise" in done.stdout
    with pytest.raises(AttributeError, match="no attribute 'parallel'"):
        importlib.import_module("clemcore.clemgame.runners").parallel  # noqa: B018


def test_importing_the_framework_is_light() -> None:
    heavy = [
        "numpy",
        "pandas",
        "pettingzoo",
        "gymnasium",
        "pydantic",
        "starlette",
        "torch",
        "nltk",
        "aiohttp",
        "sqlite3",
        "asyncio",
    ]
    code = (
        "import sys; from clemcore.clemgame import DialogueGameMaster, GameScorer, Player\n"
        f"loaded = [name for name in {heavy!r} if name in sys.modules]\n"
        "assert not loaded, loaded"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
