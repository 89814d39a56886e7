"""Games as environments of PettingZoo (many agents) and Gymnasium (one agent), with the names of 3.7.2.

It needs the extra ``envs``. It does not know how models are trained.
"""

from __future__ import annotations

from clemcore.clemgame.envs.requirements import require

require("pettingzoo", "envs")

from clemcore.clemgame.envs.agents import (  # noqa: E402 - what is missing is said first
    EnvAgent,
    check_agent_mapping,
    check_agent_mapping_for_training,
)
from clemcore.clemgame.envs.pettingzoo.master import GameMasterEnv, env, gym_env  # noqa: E402
from clemcore.clemgame.envs.pettingzoo.wrappers import (  # noqa: E402
    AECToGymWrapper,
    AgentControlWrapper,
    GameBenchmarkWrapper,
    GameInstanceIteratorWrapper,
    SinglePlayerWrapper,
)
from clemcore.clemgame.reading.spec import GameSpec  # noqa: E402

__all__ = [
    "AECToGymWrapper",
    "AgentControlWrapper",
    "EnvAgent",
    "GameBenchmarkWrapper",
    "GameInstanceIteratorWrapper",
    "GameMasterEnv",
    "GameSpec",
    "SinglePlayerWrapper",
    "check_agent_mapping",
    "check_agent_mapping_for_training",
    "env",
    "gym_env",
]
