"""Scores of given answers: how probable a model finds each token of an answer after its prompt.

It knows engines, the block rule and token ids, and neither messages nor records.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from clemcore.backends.local.arguments import Arguments
from clemcore.backends.local.choosing.scores import as_array, log_probabilities, require_numbers
from clemcore.backends.local.engine import ContinuingEngine, Engine, Generated, Job, Media, State
from clemcore.backends.local.modes.exact import Exact
from clemcore.errors import GenerationError

# How an answer was fed, as the record has it.
ONE_PASS, TOKEN_BY_TOKEN = "one pass", "token by token"


@dataclass(frozen=True)
class AnswerScore:
    """How probable a model finds an answer as the assistant's next turn.

    All logarithms are natural, and of the model's own scores: temperature, penalties and filters are not applied.

    Attributes:
        answer: the text of the answer.
        ids: its token ids.
        logprobs: the logarithm of the probability of each token, given the prompt and the tokens before it.
        ranks: the rank of each token among all tokens; 1 is the most probable one.
        is_greedy: whether each token is the one that greedy decoding takes.
        end_logprob: the logarithm of the probability that the turn ends after the answer; None if the answer itself
            has the token that ends it, or if the model has none.
        ends_greedily: whether greedy decoding would end the turn after the answer; None as for ``end_logprob``.
    """

    answer: str
    ids: list[int]
    logprobs: list[float]
    ranks: list[int]
    is_greedy: bool
    end_logprob: float | None = None
    ends_greedily: bool | None = None

    @property
    def sum(self) -> float:
        """The logarithm of the probability of the whole answer."""
        return math.fsum(self.logprobs)

    @property
    def mean(self) -> float:
        """The mean of the tokens' logarithms."""
        return self.sum / len(self.logprobs)

    @property
    def perplexity(self) -> float:
        """The exponential of the negative mean; infinite if a token is impossible."""
        return math.exp(-self.mean) if self.mean > -math.inf else math.inf

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON values, with sum, mean and perplexity; None for what is infinite."""
        end, more = self.end_logprob, {"sum": self.sum, "mean": self.mean, "perplexity": self.perplexity}
        numbers = {"end_logprob": end, **more}
        return {
            **vars(self),
            "logprobs": [_finite(each) for each in self.logprobs],
            **{name: None if number is None else _finite(number) for name, number in numbers.items()},
        }


def _finite(number: float) -> float | None:
    """Return a number, or None where JSON has none for it."""
    return number if math.isfinite(number) else None


@dataclass(frozen=True)
class Answer:
    """An answer to be scored.

    Attributes:
        text: its text.
        ids: its token ids, at least one.
    """

    text: str
    ids: list[int]


class Scorer:
    """Scores answers with one engine."""

    def __init__(self, engine: Engine, exact: Exact) -> None:
        """Take the engine, and the mode that divides prompts.

        Args:
            engine: computes.
            exact: has the block rule and the kept states.
        """
        self._engine = engine
        self._exact = exact

    def score(
        self,
        prompt_ids: Sequence[int],
        answers: Sequence[Answer],
        *,
        token_by_token: bool,
        media: Media | None = None,
    ) -> tuple[list[AnswerScore], dict[str, Any]]:
        """Score answers to one prompt. The prompt is computed once where the engine can go on from a state.

        Args:
            prompt_ids: token ids of the prompt.
            answers: the answers.
            token_by_token: feed the tokens of an answer one after the other, as when it is generated.
            media: the images of the prompt. With images, each answer is generated from the first token of the
                prompt, token by token.

        Returns:
            The scores of each answer, and facts for the record.

        Raises:
            GenerationError: the engine did not take the tokens of an answer.
        """
        ends = self._engine.describe().ends
        job = Job(prompt_ids, Arguments(temperature=0.0, max_tokens=1))
        reason = "the engine cannot go on from a state" if media is None else "the prompt has images"
        if isinstance(self._engine, ContinuingEngine) and media is None:
            why = self._engine.why_whole(job)
            if why is None:
                state, facts = self._prompt_state(self._engine, job)
                by_step = token_by_token
                scores = [self._after(self._engine, state, answer, ends, by_step=by_step) for answer in answers]
                return scores, {"feeding": TOKEN_BY_TOKEN if by_step else ONE_PASS, "prefill": facts}
            reason = why
        scores = [self._from_prompt(prompt_ids, answer, ends, media) for answer in answers]
        facts = {"block": 0, "kept": 0, "computed": len(prompt_ids) * len(answers), "reason": reason}
        return scores, {"feeding": TOKEN_BY_TOKEN, "prefill": facts}

    def _prompt_state(self, engine: ContinuingEngine, job: Job) -> tuple[State, dict[str, Any]]:
        """Return the state after a prompt, fed as for an exact answer, and what the record says about it."""
        divided, facts = self._exact.divided(job)
        state, fed = divided.state, 0
        for length in divided.pieces:
            state = engine.prefill(divided.ids[fed : fed + length], state)
            fed += length
            if divided.on_state is not None:
                divided.on_state(state)
        return engine.prefill(divided.ids[fed:], state), facts

    def _after(
        self, engine: ContinuingEngine, state: State, answer: Answer, ends: frozenset[int], *, by_step: bool
    ) -> AnswerScore:
        """Score an answer after the state of its prompt."""
        tokens = _with_end(answer.ids, ends)
        if not by_step:
            return _score(answer, engine.score(state, tokens), ends)
        rows = [state.scores]
        if len(tokens) > 1:
            rows += self._forced(answer, Job(tokens[:1], _greedy(len(tokens) - 1), state), tokens[1:])
        return _score(answer, rows, ends)

    def _from_prompt(
        self, prompt_ids: Sequence[int], answer: Answer, ends: frozenset[int], media: Media | None
    ) -> AnswerScore:
        """Score an answer by letting the engine generate it, from the first token of the prompt."""
        tokens = _with_end(answer.ids, ends)
        job = Job(prompt_ids, _greedy(len(tokens)), media=media)
        return _score(answer, self._forced(answer, job, tokens), ends)

    def _forced(self, answer: Answer, job: Job, tokens: Sequence[int]) -> list[Any]:
        """Return the scores at each token of a job that is made to generate these tokens."""
        job.choose = forced = _Forced(tokens)
        ((_, result),) = self._engine.generate(iter([job]), "alone")
        if isinstance(result, Exception):
            raise result
        if not isinstance(result, Generated) or result.ids != list(tokens):
            raise GenerationError(
                f"the answer {answer.text!r} cannot be fed token by token: the engine ended it after "
                f"{len(result.ids)} of {len(tokens)} tokens. Score it without exactness='exact'"
            )
        return forced.rows


class _Forced:
    """Chooses given tokens, and keeps the scores from which they are chosen: the ``choose`` of a job."""

    def __init__(self, tokens: Sequence[int]) -> None:
        self.rows: list[Any] = []
        self._tokens = tokens

    def __call__(self, scores: Any, ids: Sequence[int]) -> int:
        if not ids:
            self.rows.clear()
        self.rows.append(as_array(scores).copy())
        return self._tokens[len(ids)]


def _greedy(tokens: int) -> Arguments:
    return Arguments(temperature=0.0, max_tokens=tokens)


def _with_end(ids: Sequence[int], ends: frozenset[int]) -> list[int]:
    """Return the ids with an end token after them, unless there is one, so that its scores are computed, too."""
    return [*ids] if not ends or ids[-1] in ends else [*ids, min(ends)]


def _score(answer: Answer, rows: Sequence[Any], ends: frozenset[int]) -> AnswerScore:
    """Read the scores of an answer.

    Args:
        answer: the answer.
        rows: for each of its tokens the scores from which it is chosen, and one more if it does not end the turn.
        ends: ids of the tokens that end a turn.
    """
    logprobs, ranks, is_greedy = [], [], True
    arrays = [as_array(row) for row in rows]
    for step, scores in enumerate(arrays):
        require_numbers(scores, step)
    for token, scores in zip(answer.ids, arrays, strict=False):
        logprobs.append(float(log_probabilities(scores)[token]))
        ranks.append(1 + int((scores > scores[token]).sum()))
        is_greedy = is_greedy and int(scores.argmax()) == token
    if len(arrays) == len(answer.ids):
        return AnswerScore(answer.text, answer.ids, logprobs, ranks, is_greedy)
    end = _log_of_sum(log_probabilities(arrays[-1])[sorted(ends)].tolist())
    return AnswerScore(answer.text, answer.ids, logprobs, ranks, is_greedy, end, int(arrays[-1].argmax()) in ends)


def _log_of_sum(logarithms: Sequence[float]) -> float:
    """Return the logarithm of the sum of what these are the logarithms of."""
    best = max(logarithms)
    return best if best == -math.inf else best + math.log(math.fsum(math.exp(each - best) for each in logarithms))


def facts_of(scores: Sequence[AnswerScore], prompt_ids: Sequence[int], facts: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the record says about answers that were scored.

    Args:
        scores: their scores.
        prompt_ids: token ids of the prompt.
        facts: how they were computed.
    """
    by_step = facts["feeding"] == TOKEN_BY_TOKEN
    return {
        "exactness": "exact" if by_step else "fast",
        "scoring": {"feeding": facts["feeding"], "answers": len(scores)},
        "prefill": facts["prefill"],
        "usage": {"input_tokens": len(prompt_ids), "scored_tokens": sum(len(score.ids) for score in scores)},
    }
