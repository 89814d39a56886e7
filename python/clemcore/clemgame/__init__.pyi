# The public names of clemcore.clemgame, written only here (see clemcore/names.py).
import clemcore.clemgame.envs.openenv.client as _client
import clemcore.clemgame.envs.openenv.models as _models
import clemcore.clemgame.envs.pettingzoo.master as _environments
from clemcore.clemgame.benchmark import GameBenchmark as GameBenchmark
from clemcore.clemgame.callbacks import episode_results_folder_callbacks as episode_results_folder_callbacks
from clemcore.clemgame.callbacks.base import GameBenchmarkCallback as GameBenchmarkCallback
from clemcore.clemgame.callbacks.base import GameBenchmarkCallbackList as GameBenchmarkCallbackList
from clemcore.clemgame.callbacks.base import GameSnapshot as GameSnapshot
from clemcore.clemgame.callbacks.base import GameStep as GameStep
from clemcore.clemgame.callbacks.files import EpisodeResultsFolder as EpisodeResultsFolder
from clemcore.clemgame.callbacks.files import EpisodeResultsFolderCallback as EpisodeResultsFolderCallback
from clemcore.clemgame.callbacks.files import EpochResultsFolder as EpochResultsFolder
from clemcore.clemgame.callbacks.files import EpochResultsFolderCallback as EpochResultsFolderCallback
from clemcore.clemgame.callbacks.files import ExperimentFileSaver as ExperimentFileSaver
from clemcore.clemgame.callbacks.files import InstanceFileSaver as InstanceFileSaver
from clemcore.clemgame.callbacks.files import InteractionsFileSaver as InteractionsFileSaver
from clemcore.clemgame.callbacks.files import ResultsFolder as ResultsFolder
from clemcore.clemgame.callbacks.files import RunFileSaver as RunFileSaver
from clemcore.clemgame.callbacks.files import SignalFileSaver as SignalFileSaver
from clemcore.clemgame.errors import GameError as GameError
from clemcore.clemgame.errors import NotApplicableError as NotApplicableError
from clemcore.clemgame.errors import ParseError as ParseError
from clemcore.clemgame.errors import ProtocolError as ProtocolError
from clemcore.clemgame.errors import ResponseError as ResponseError
from clemcore.clemgame.errors import RuleViolationError as RuleViolationError
from clemcore.clemgame.game_master import play_game as play_game
from clemcore.clemgame.instances import GameInstanceGenerator as GameInstanceGenerator
from clemcore.clemgame.instances import GameInstances as GameInstances
from clemcore.clemgame.master import DialogueGameMaster as DialogueGameMaster
from clemcore.clemgame.master import GameMaster as GameMaster
from clemcore.clemgame.master import GameState as GameState
from clemcore.clemgame.metrics import GameScorer as GameScorer
from clemcore.clemgame.player import Player as Player
from clemcore.clemgame.reading.spec import GameSpec as GameSpec
from clemcore.clemgame.recorder import GameInteractionsRecorder as GameInteractionsRecorder
from clemcore.clemgame.registry import GameRegistry as GameRegistry
from clemcore.clemgame.resources import GameResourceLocator as GameResourceLocator

# Not in `dir()` nor in `import *`: they need the extras "envs" and "serve".
ClemGameAction = _models.ClemGameAction
ClemGameEnv = _client.ClemGameEnv
ClemGameObservation = _models.ClemGameObservation
ClemGameState = _models.ClemGameState
env = _environments.env
gym_env = _environments.gym_env
