"""Games behind the protocol of OpenEnv: what clients send and get, a client, and a server.

It needs the extra ``serve``. It does not know how models are trained.
"""

from __future__ import annotations

from clemcore.clemgame.envs.requirements import require

require("pydantic", "serve")
