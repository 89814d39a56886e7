"""What can be measured of a local model besides asking it: scores of given answers.

It puts the parts together that compute these, and computes nothing itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from clemcore.backends.local.engine import Engine
from clemcore.backends.local.entry import LocalEntry
from clemcore.backends.local.frontend import Frontend
from clemcore.backends.local.given_answers import GivenAnswer
from clemcore.backends.local.modes.exact import Exact
from clemcore.backends.local.modes.mode import CERTIFIED, EXACT, FAST, Mode
from clemcore.backends.local.replies import Replies
from clemcore.backends.local.scores import AnswerScore
from clemcore.backends.local.scoring import Scoring
from clemcore.backends.local.sharing import HeldWeights
from clemcore.calls.call import Call
from clemcore.calls.request import request_of
from clemcore.calls.scope import Scope
from clemcore.errors import SpecError
from clemcore.messages import Messages, check_messages
from clemcore.model import BatchGenerativeModel


class MeasuredModel(BatchGenerativeModel):
    """A local model that can be measured. The class that loads it sets its parts.

    Attributes:
        context_size: tokens that prompt and reply may have together.
    """

    context_size: int
    _entry: LocalEntry
    _front: Frontend
    _engine: Engine
    _exact: Exact
    _modes: Mapping[str, Mode]
    _replies: Replies
    _scoring: Scoring
    _weights: HeldWeights[Engine]

    def score_answers(
        self,
        messages: Messages,
        answers: Sequence[GivenAnswer],
        *,
        exactness: str | None = None,
        scope: Scope | None = None,
    ) -> list[AnswerScore]:
        """Return how probable the model finds each of several answers as its next turn; it is recorded like a call.

        Args:
            messages: a dialogue, as for :meth:`generate_response`.
            answers: texts, or token ids (``response["output_ids"]`` of a reply).
            exactness: ``"exact"`` feeds each answer token by token, as it would be generated. ``"fast"`` feeds it
                in one pass, which may round differently. None: what the entry says, else ``"fast"``.
            scope: the scope of the call; by default the current one.

        Raises:
            MessagesError: messages or answers do not have the right form.
            ContextExceededError: an answer does not fit; nothing was computed.
            SpecError: ``exactness`` is something else.
            GenerationError: the engine failed.
        """
        check_messages(messages)
        with Call(self, request_of(messages, None, scope)) as call:
            reply, scores = self._scoring.score(messages, answers, self._score_mode(exactness))
            call.answered(reply)
        return scores

    def _score_mode(self, exactness: str | None) -> str:
        """Return how answers are scored; certified answers are exact ones."""
        if exactness not in (None, EXACT, FAST):
            raise SpecError(f"exactness of score_answers must be '{EXACT}' or '{FAST}', not {exactness!r}")
        return exactness or (EXACT if self._entry.exactness in (EXACT, CERTIFIED) else FAST)
