"""From messages and given answers to their scores and the record of them.

It puts the front, the scorer and the facts of replies together, and computes nothing itself.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

from clemcore.backends.local.choosing.scores import NotNumbersError
from clemcore.backends.local.engine import Engine
from clemcore.backends.local.failures import wrapped
from clemcore.backends.local.frontend import Frontend
from clemcore.backends.local.given_answers import GivenAnswer, read_answers
from clemcore.backends.local.modes.exact import Exact
from clemcore.backends.local.modes.mode import EXACT
from clemcore.backends.local.replies import Replies
from clemcore.backends.local.scores import AnswerScore, Scorer, facts_of
from clemcore.errors import GenerationError
from clemcore.messages import Messages
from clemcore.model import Reply


class Scoring:
    """Scores answers of one model."""

    def __init__(self, front: Frontend, engine: Engine, exact: Exact, replies: Replies) -> None:
        """Put the parts together.

        Args:
            front: makes token ids of messages.
            engine: computes.
            exact: divides prompts, and keeps their states.
            replies: knows what the record says about the model.
        """
        self._front = front
        self._engine = engine
        self._exact = exact
        self._replies = replies

    def with_front(self, front: Frontend) -> Scoring:
        """Return the same with another front."""
        return Scoring(front, self._engine, self._exact, self._replies)

    def score(
        self, messages: Messages, answers: Sequence[GivenAnswer], mode: str
    ) -> tuple[Reply, list[AnswerScore]]:
        """Score answers.

        Args:
            messages: the dialogue, whose form is right.
            answers: texts or token ids.
            mode: ``exact`` feeds them token by token.

        Returns:
            What the record gets, and the scores.
        """
        begin = time.perf_counter()
        described = self._engine.describe()
        prompt = self._front.write(messages)
        ids, control, media = self._front.encode_guarded(prompt)
        given = read_answers(self._front, prompt, ids, answers, described.ends)
        prepared = time.perf_counter()
        try:
            by_step = mode == EXACT
            scores, how = Scorer(self._engine, self._exact).score(ids, given, token_by_token=by_step, media=media)
        except Exception as error:
            if isinstance(error, NotNumbersError):
                self._exact.forget()
                error = error.public()
            step = "it failed while it scored answers"
            raise wrapped(error, GenerationError, self._front.name, step, described.libraries) from error
        timings = {"prompt_seconds": prepared - begin, "score_seconds": time.perf_counter() - prepared}
        facts = {
            **self._replies.model_facts(described),
            **self._replies.prompt_facts(messages, prompt, control),
            **facts_of(scores, ids, how),
            "timings": {name: round(value, 6) for name, value in timings.items()},
        }
        asked = {"inputs": prompt.text, "input_ids": ids, "answers": [list(one.ids) for one in given]}
        return Reply(asked, {"scores": [score.to_dict() for score in scores]}, "", facts), scores
