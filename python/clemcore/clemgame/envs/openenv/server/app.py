"""The server as an application that any ASGI server can run: settings, clients, and what it says about itself.

It does not know commands.
"""

from __future__ import annotations

import contextlib
import itertools
import logging
import os
import secrets
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clemcore.clemgame.envs.requirements import require

require("starlette", "serve", "clem serve")

from starlette.applications import Starlette  # noqa: E402 - what is missing is said first
from starlette.middleware import Middleware  # noqa: E402
from starlette.requests import Request  # noqa: E402
from starlette.responses import JSONResponse  # noqa: E402
from starlette.routing import Route, WebSocketRoute  # noqa: E402

from clemcore import backends  # noqa: E402
from clemcore.clemgame.callbacks import episode_results_folder_callbacks  # noqa: E402
from clemcore.clemgame.callbacks.base import GameBenchmarkCallbackList  # noqa: E402
from clemcore.clemgame.callbacks.files import EpisodeResultsFolderCallback, SignalFileSaver  # noqa: E402
from clemcore.clemgame.engine.seeds import derived_seed  # noqa: E402
from clemcore.clemgame.envs.agents import agent_names, check_agent_mapping_for_training, check_known  # noqa: E402
from clemcore.clemgame.envs.games import game_of  # noqa: E402
from clemcore.clemgame.envs.instance_order import InstanceOrder  # noqa: E402
from clemcore.clemgame.envs.openenv.models import ClemGameAction, ClemGameObservation, ClemGameState  # noqa: E402
from clemcore.clemgame.envs.openenv.server.access import Access, checked_token, names_of  # noqa: E402
from clemcore.clemgame.envs.openenv.server.sessions import Limits, Sessions  # noqa: E402
from clemcore.clemgame.envs.rewards import FeedbackFunc, RewardFunc  # noqa: E402
from clemcore.clemgame.envs.splits import filter_of_split  # noqa: E402
from clemcore.clemgame.envs.streams.stage import Stage  # noqa: E402
from clemcore.clemgame.envs.streams.stream import EpisodeStream  # noqa: E402
from clemcore.clemgame.instances import GameInstances  # noqa: E402
from clemcore.errors import EnvError  # noqa: E402
from clemcore.utils.string_utils import read_query_string  # noqa: E402

__all__ = ["create_clemv_app"]

_logger = logging.getLogger(__name__)

# As in 3.7.2: the settings in the environment when this module is imported.
CLEMV_GAME = os.getenv("CLEMV_GAME")
CLEMV_GAME_SPLIT = os.getenv("CLEMV_GAME_SPLIT")
CLEMV_SINGLE_PASS = os.getenv("CLEMV_SINGLE_PASS", "").lower() in ("true", "1", "t")
CLEMV_LEARNER_AGENT = os.getenv("CLEMV_LEARNER_AGENT")
CLEMV_ENV_AGENTS = read_query_string(os.getenv("CLEMV_ENV_AGENTS"))
CLEMV_GEN_ARGS = read_query_string(os.getenv("CLEMV_GEN_ARGS"))
CLEMV_RESULTS_DIR = os.getenv("CLEMV_RESULTS_DIR", "openenv-records")
CLEMV_RUN_ID = os.getenv("CLEMV_RUN_ID")

# Seconds that streams have to end when the server stops.
_LET_GO = 5.0
_WHY_NOT = "A game has many steps, so it needs a connection that stays: use the WebSocket /ws, as ClemGameEnv does."


@dataclass(frozen=True)
class _Records:
    """Where episodes are written: a folder for each client."""

    folder: Path
    run: str

    def callbacks(self, models: Any) -> GameBenchmarkCallbackList:
        """Return the callbacks of a new client, whose folder is there and empty."""
        for number in itertools.count(1):
            name = self.run if number == 1 else f"{self.run}_{number:05d}"
            try:
                (self.folder / name).mkdir(parents=True)
            except FileExistsError:
                continue
            made = episode_results_folder_callbacks(
                run_dir=name, result_dir_path=self.folder, player_model_infos=models
            )
            counter = made.callbacks[0]
            if isinstance(counter, EpisodeResultsFolderCallback):  # it also says which episodes were abandoned
                made.append(SignalFileSaver(counter.results_folder))
            return made
        raise AssertionError  # pragma: no cover - numbers have no end


def create_clemv_app(
    game_name: Any = None,
    *,
    learner_agent: str | None = None,
    env_agents: Mapping[str, Any] | None = None,
    game_instance_split: str | None = None,
    single_pass: bool | None = None,
    gen_args: Mapping[str, Any] | None = None,
    callbacks: GameBenchmarkCallbackList | None = None,
    reward_func: RewardFunc | str | None = None,
    feedback_func: FeedbackFunc | None = None,
    results_dir: str | None = None,
    run_id: str | None = None,
    token: str | None = None,
    host: str = "127.0.0.1",
    allow_hosts: Iterable[str] = (),
    seed: int | None = None,
    limits: Limits | None = None,
) -> Starlette:
    """Return a server of a game. Where an argument is None, the variable ``CLEMV_…`` of its name decides.

    Args:
        game_name: the game (``CLEMV_GAME``).
        learner_agent: the agent that clients play (``CLEMV_LEARNER_AGENT``).
        env_agents: a model, or the name of a model, for each other agent (``CLEMV_ENV_AGENTS``).
        game_instance_split: "train" or "validation" (``CLEMV_GAME_SPLIT``); by default all instances.
        single_pass: each client plays each instance once (``CLEMV_SINGLE_PASS``).
        gen_args: generation arguments of the models (``CLEMV_GEN_ARGS``).
        callbacks: hear of all episodes in the place of those that write files; several episodes are live at once.
        reward_func: see ``gym_env``.
        feedback_func: see ``gym_env``.
        results_dir: the folder for records of episodes (``CLEMV_RESULTS_DIR``).
        run_id: the name of the folder in it (``CLEMV_RUN_ID``); by default the names of the models.
        token: what clients must send; None takes ``CLEMV_TOKEN``, or makes one and logs it; "" means none.
        host: the address that the server listens at.
        allow_hosts: further names that requests may use for the server.
        seed: gives each client a seed of its own; by default a random one.
        limits: what clients may use.

    Raises:
        ValueError: the game or its learner is not named, or a setting is invalid.
        AssertionError: a player of the game has no model.
    """
    game_name = game_name or os.getenv("CLEMV_GAME")
    learner = learner_agent or os.getenv("CLEMV_LEARNER_AGENT")
    missing = [name for name, value in (("game_name", game_name), ("learner_agent", learner)) if not value]
    if missing or learner is None:
        variables = " and ".join(f"CLEMV_{name.removesuffix('_name').upper()}" for name in missing)
        raise EnvError(f"{' and '.join(missing)} must be given, as an argument or in {variables}")
    agents = read_query_string(os.getenv("CLEMV_ENV_AGENTS")) if env_agents is None else dict(env_agents)
    agents = agents or {}
    arguments = read_query_string(os.getenv("CLEMV_GEN_ARGS")) if gen_args is None else dict(gen_args)
    once = _is_true(os.getenv("CLEMV_SINGLE_PASS", "")) if single_pass is None else single_pass
    secret = _token_of(token)
    spec = game_of(game_name)
    for agent in (learner, *agents):
        check_known(agent, agent_names(spec.player_count), spec.game_name)
    check_agent_mapping_for_training(spec, {learner: "learner", **agents})
    instances = GameInstances.from_game_spec(spec)
    split = game_instance_split or os.getenv("CLEMV_GAME_SPLIT") or None
    if split is not None:
        instances = instances.filter(filter_of_split(split))
        if not len(instances):
            raise EnvError(f"{spec.game_name}: the split '{split}' has no instance of this game")
    names = [str(getattr(agent, "name", agent)) for agent in agents.values()]
    folder = results_dir or os.getenv("CLEMV_RESULTS_DIR") or "openenv-records"
    records = _Records(Path(folder), run_id or os.getenv("CLEMV_RUN_ID") or "-".join(names) or "run")
    stage = Stage(
        spec,
        learner_agent=learner,
        env_agents=_loaded(agents, arguments),
        reward_func=reward_func,
        feedback_func=feedback_func,
        callbacks=callbacks,
    )
    infos = backends.Model.to_infos(stage.models)
    base = secrets.randbits(63) if seed is None else seed

    def stream_of(number: int) -> tuple[EpisodeStream, int | None]:
        own = records.callbacks(infos) if callbacks is None else callbacks
        order = InstanceOrder(instances, single_pass=once)
        name = f"{stage.name}-{number}"
        return EpisodeStream(stage, order, callbacks=own, name=name), derived_seed(base, "client", number) % 2**31

    sessions = Sessions(stream_of, stage.name, limits or Limits())
    access = Middleware(Access, token=secret or None, names=names_of(host, allow_hosts))
    return _application(stage, sessions, access)


def _application(stage: Stage, sessions: Sessions, access: Middleware) -> Starlette:
    async def health(_: Request) -> JSONResponse:
        broken = stage.control.reason is not None
        return JSONResponse({"status": "unhealthy" if broken else "healthy"}, 503 if broken else 200)

    async def metadata(_: Request) -> JSONResponse:
        described = stage.benchmark.game_spec.get("description") or ""
        return JSONResponse({"name": stage.name, "description": str(described), "clients": len(sessions)})

    async def schema(_: Request) -> JSONResponse:
        models: dict[str, Any] = {
            "action": ClemGameAction,
            "observation": ClemGameObservation,
            "state": ClemGameState,
        }
        return JSONResponse({name: model.model_json_schema() for name, model in models.items()})

    async def use_socket(_: Request) -> JSONResponse:
        return JSONResponse({"detail": _WHY_NOT}, 426, {"Upgrade": "websocket"})

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        try:
            yield
        finally:
            sessions.close(_LET_GO)
            stage.close()

    routes = [
        Route("/health", health),
        Route("/metadata", metadata),
        Route("/schema", schema),
        Route("/reset", use_socket, methods=["GET", "POST"]),
        Route("/step", use_socket, methods=["GET", "POST"]),
        Route("/state", use_socket),
        WebSocketRoute("/ws", sessions.serve),
    ]
    app = Starlette(routes=routes, middleware=[access], lifespan=lifespan)
    app.state.sessions = sessions
    app.state.stage = stage
    return app


def _is_true(text: str) -> bool:
    return text.lower() in ("true", "1", "t")


def _token_of(token: str | None) -> str:
    given = os.getenv("CLEMV_TOKEN") or None if token is None else token
    if given is None:
        made = secrets.token_urlsafe(24)
        _logger.warning("CLEMV_TOKEN is not set; the token of this server is %s", made)
        return made
    return checked_token(given) if given else ""


def _loaded(agents: Mapping[str, Any], gen_args: Mapping[str, Any] | None) -> dict[str, Any]:
    """Load the models that are given by their names."""
    named = [agent for agent, plays in agents.items() if isinstance(plays, str)]
    load: Callable[..., list[backends.Model]] = backends.load_models
    models = load([agents[agent] for agent in named], None if gen_args is None else dict(gen_args)) if named else []
    return {**agents, **dict(zip(named, models, strict=True))}
