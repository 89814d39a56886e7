"""Runs the server in this process until somebody stops it. It does not know clients."""

from __future__ import annotations

import os
import secrets
import socket
from collections.abc import Callable, Sequence
from typing import Any

from clemcore.clemgame.envs.openenv.server.access import checked_token, shown_name
from clemcore.clemgame.envs.openenv.server.app import create_clemv_app
from clemcore.clemgame.envs.openenv.server.sessions import Limits
from clemcore.clemgame.envs.requirements import require
from clemcore.errors import EnvError, RunError

# The largest message of a client in bytes, and how many of them wait unread.
_LARGEST = 1024 * 1024
_UNREAD = 32
# Seconds that connections have to end when the server stops.
_LET_GO = 5


def run_server(
    say: Callable[[str], object],
    *,
    game: Any,
    learner_agent: str,
    env_agents: dict[str, Any] | None = None,
    gen_args: dict[str, Any] | None = None,
    split: str | None = None,
    single_pass: bool = False,
    host: str = "127.0.0.1",
    port: int = 8000,
    results_dir: str | None = None,
    run_id: str | None = None,
    reward: str | None = None,
    seed: int | None = None,
    time_limit: float | None = None,
    idle_timeout: float = 600.0,
    max_clients: int = 256,
    allow_host: Sequence[str] = (),
    no_token: bool = False,
) -> None:
    """Serve a game until the process is interrupted.

    Args:
        say: gets the address, with its token.
        game: see ``create_clemv_app``, as all others.
        learner_agent: the agent that clients play.
        env_agents: the models of the other agents.
        gen_args: their generation arguments.
        split: the split of instances.
        single_pass: whether clients play each instance once.
        host: the address to listen at.
        port: the port; 0 takes a free one.
        results_dir: where episodes are written.
        run_id: the name of the run there.
        reward: the name of a reward.
        seed: gives clients their seeds.
        time_limit: most seconds of an episode.
        idle_timeout: seconds of silence after which a client is let go.
        max_clients: most clients at once.
        allow_host: further names of the server.
        no_token: whether clients need no token.

    Raises:
        RunError: the address is in use or is not one of this machine, or an agent of the game has no model.
        ClemcoreError: the game or a model cannot be loaded.
    """
    require("uvicorn", "serve", "clem serve")
    require("websockets", "serve", "clem serve")
    import uvicorn

    token = "" if no_token else checked_token(os.getenv("CLEMV_TOKEN") or secrets.token_urlsafe(24))
    listening = _listen(host, port)
    try:
        try:
            app = create_clemv_app(
                game,
                learner_agent=learner_agent,
                env_agents=env_agents,
                game_instance_split=split,
                single_pass=single_pass or None,
                gen_args=gen_args,
                reward_func=reward,
                results_dir=results_dir,
                run_id=run_id,
                token=token,
                host=host,
                allow_hosts=allow_host,
                seed=seed,
                limits=Limits(max_clients, idle_timeout, time_limit),
            )
        except AssertionError as fault:
            raise RunError(f"{fault}: give each of them a model with -e AGENT=MODEL") from None
        except EnvError as fault:
            raise RunError(str(fault)) from fault
        name = shown_name(host, allow_host)
        where = f"[{name}]" if ":" in name else name
        place = f"{where}:{listening.getsockname()[1]}"
        say(f"{app.state.stage.name} is served at http://{f'clem:{token}@' if token else ''}{place}")
        config = uvicorn.Config(
            app,
            log_level="warning",
            access_log=False,
            server_header=False,
            ws="websockets-sansio" if _has_sansio() else "auto",
            ws_max_size=_LARGEST,
            ws_max_queue=_UNREAD,
            timeout_graceful_shutdown=_LET_GO,
        )
        uvicorn.Server(config).run(sockets=[listening])
    finally:
        listening.close()


def _has_sansio() -> bool:
    """Tell whether uvicorn uses the part of websockets that is not deprecated."""
    from uvicorn.config import WS_PROTOCOLS

    return "websockets-sansio" in WS_PROTOCOLS


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    made = socket.socket(family, socket.SOCK_STREAM)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        made.bind((host, port))
        made.listen(1024)
    except OSError as fault:
        made.close()
        raise RunError(
            f"cannot listen at {host}:{port}: {fault.strerror or fault}: choose another --port or --host"
        ) from None
    return made
