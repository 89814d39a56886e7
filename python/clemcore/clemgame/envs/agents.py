"""Agents: how the players of a game are called in environments, and who plays them.

It does not know how a game is played.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeAlias

from clemcore import backends
from clemcore.errors import EnvError
from clemcore.spelling import misspelling_of

# Who plays an agent of which the caller does not play the turns itself: a model, or a function of the observation.
EnvAgent: TypeAlias = "backends.Model | Callable[[Any], Any]"

LEARNER = "learner"
_PREFIX = "player_"


def agent_names(count: int) -> list[str]:
    """Return the names of so many agents.

    Examples:
        >>> agent_names(2)
        ['player_0', 'player_1']
    """
    return [f"{_PREFIX}{index}" for index in range(count)]


def is_learner(agent: Any) -> bool:
    """Tell whether the caller itself plays this agent."""
    return isinstance(agent, str) and agent == LEARNER  # models compare with texts by their name


def order_agent_mapping_by_agent_id(agent_mapping: Mapping[str, Any]) -> OrderedDict[str, Any]:
    """Return a mapping in the order of the agents' numbers.

    Examples:
        >>> list(order_agent_mapping_by_agent_id({"player_10": "a", "player_9": "b"}))
        ['player_9', 'player_10']

    Raises:
        EnvError: the name of an agent does not end in a number (a ValueError).
    """
    return OrderedDict(sorted(agent_mapping.items(), key=lambda entry: _number_of(entry[0])))


def _number_of(agent: Any) -> int:
    number = str(agent).rpartition("_")[2]
    if not isinstance(agent, str) or not number.isdecimal():
        raise EnvError(f"the agents of a game are named 'player_0', 'player_1' and so on, not {agent!r:.80}")
    return int(number)


def _is_name(agent: Any) -> bool:
    return isinstance(agent, str) and agent.startswith(_PREFIX) and agent.removeprefix(_PREFIX).isdecimal()


def check_known(agent: Any, known: Iterable[str], game: str) -> None:
    """Refuse an agent that a game does not have.

    Raises:
        EnvError: it is unknown (a ValueError).
    """
    names = list(known)
    if agent in names:
        return
    # The name of another player is nearly the same, and never meant.
    near = None if _is_name(agent) else misspelling_of(str(agent), names)
    hint = "." if near is None else f"; did you mean '{near}'?"
    raise EnvError(f"{game} has no agent {agent!r:.80}{hint} Its agents are {', '.join(names)}")


def checked_agents(env_agents: Any) -> dict[str, Any]:
    """Return who plays the other agents as a dict of its own.

    Raises:
        EnvError: it is not a mapping of agents (a ValueError).
    """
    if env_agents is not None and not isinstance(env_agents, Mapping):
        raise EnvError(
            f"env_agents must name who plays each agent, such as {{'player_1': 'mock'}}, not {env_agents!r:.80}"
        )
    return dict(env_agents or {})


def players_of(mapping: Mapping[str, Any]) -> OrderedDict[str, Any]:
    """Return who plays each agent, in the order of the agents; names of models become models.

    Args:
        mapping: for each agent "learner", a model, the name of a model, or a function of the observation.

    Raises:
        EnvError: an agent has no such name, or nobody of these plays it (a ValueError).
    """
    found = order_agent_mapping_by_agent_id(mapping)
    for agent, plays in found.items():
        if isinstance(plays, str) and not is_learner(plays):
            found[agent] = backends.load_model(plays)
        elif not (is_learner(plays) or callable(plays) or isinstance(plays, backends.Model)):
            raise EnvError(f"{agent} must be 'learner', a model or a function, not {plays!r:.80}")
    return found


def line_up(game_spec: Any, players: Mapping[str, Any]) -> list[backends.Model]:
    """Return a model for each player of a game. Programs stand for learners and functions, which act themselves.

    Args:
        game_spec: the specification of the game.
        players: who plays each agent. If one agent is named alone, the game's own programs play all others.

    Raises:
        EnvError: the game has no such agent, or nobody plays one (a ValueError).
    """
    names = agent_names(game_spec.player_count)
    for agent in players:
        check_known(agent, names, game_spec.game_name)
    missing = [agent for agent in names if agent not in players]
    if missing and len(players) > 1:
        who = ", ".join(missing)
        raise EnvError(f"{game_spec.game_name}: nobody plays {who}: give each agent a model or a function")
    return [_model_of(players.get(agent)) for agent in names]


def _model_of(plays: Any) -> backends.Model:
    if isinstance(plays, backends.Model):
        return plays
    name = "learner" if is_learner(plays) else "mock" if plays is None else "callable"
    return backends.CustomResponseModel(backends.ModelSpec(model_name=name))


def check_agent_mapping(game_spec: Any, agent_mapping: Mapping[str, Any]) -> None:
    """Check that a mapping names every player of a game.

    Args:
        game_spec: the specification of the game.
        agent_mapping: who plays each agent. A game of several players ignores further ones, as in 3.7.2.

    Raises:
        AssertionError: an argument is None, or players are missing.
        ValueError: a game of one player gets several agents.
    """
    if game_spec is None or agent_mapping is None:
        raise AssertionError("a game specification and a mapping of agents are needed, not None")
    game = game_spec.game_name
    if game_spec.is_single_player() and len(agent_mapping) > 1:
        raise EnvError(f"{game} is played by one player, so there is one agent, not {len(agent_mapping)}")
    missing = [name for name in agent_names(game_spec.player_count) if name not in agent_mapping]
    if missing:
        raise AssertionError(f"{game} needs agents that the mapping does not have: {', '.join(missing)}")


def check_agent_mapping_for_training(game_spec: Any, agent_mapping: Mapping[str, Any]) -> None:
    """Check that a mapping names every player of a game, and that one of them at least is the learner.

    Raises:
        AssertionError: an argument is None, or players are missing.
        ValueError: a game of one player gets several agents, or no agent is "learner".
    """
    check_agent_mapping(game_spec, agent_mapping)
    if not any(is_learner(agent) for agent in agent_mapping.values()):
        raise EnvError(f"{game_spec.game_name}: nobody learns: one agent of the mapping must be 'learner'")
