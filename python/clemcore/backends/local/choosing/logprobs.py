"""Notes the log probabilities of the tokens of an answer, before and after everything that changed the scores.

The form is that of OpenAI's chat completions, with the token's id and the second value beside it. It knows the
texts of tokens from the engine, and nothing of messages.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from clemcore.backends.local.choosing.scores import log_probabilities

if TYPE_CHECKING:
    from clemcore.backends.local.engine import Engine


class LogProbabilities:
    """A watcher that notes the log probabilities of each token that was taken, and of the likeliest ones."""

    def __init__(self, engine: Engine, top: int) -> None:
        """Take what is noted.

        Args:
            engine: has the texts of tokens.
            top: how many of the tokens that the model finds likeliest are noted for each new one.
        """
        self._engine = engine
        self._top = top
        self._rows: list[list[tuple[int, float, float]]] = []

    def __call__(self, before: Any, after: Any, token: int, step: int) -> None:
        """Note one choice; see :class:`clemcore.backends.local.choosing.chooser.Watcher`."""
        import numpy as np

        del self._rows[step:]
        model, changed = log_probabilities(before), log_probabilities(after)
        best: Any = np.argsort(-model, kind="stable")[: self._top] if self._top else ()
        self._rows.append([(int(each), float(model[each]), float(changed[each])) for each in (token, *best)])

    def facts(self) -> Mapping[str, Any]:
        """Return the log probabilities of all tokens of the answer, the end token included."""
        content = [
            {**self._entry(*taken), "top_logprobs": [self._entry(*each) for each in best]}
            for taken, *best in self._rows
        ]
        return {"logprobs": {"content": content}}

    def _entry(self, token: int, before: float, after: float) -> dict[str, Any]:
        return {
            "token": self._engine.decode([token]),
            "id": token,
            "bytes": list(self._engine.bytes_of(token)),
            "logprob": before,
            # A token that was ruled out has the probability 0, whose logarithm JSON cannot hold.
            "logprob_after": None if after == float("-inf") else after,
        }
