"""The spaces of games: any text is an action, and any message is an observation.

``gymnasium.spaces.Text`` knows a text by its length and its characters. What a game says has no such limits.
It does not know games.
"""

from __future__ import annotations

import string
from typing import Any

import gymnasium
from gymnasium import spaces

from clemcore.errors import EnvError

# Characters that samples are made of.
_SAMPLED = string.ascii_letters + string.digits + string.punctuation + " \n"
_LONGEST_ROLE = 128
_LONGEST_SAMPLE = 8192


class AnyText(spaces.Text):
    r"""Every text. Samples have at most ``max_length`` characters of ASCII.

    Examples:
        >>> space = AnyText(10)
        >>> "naïve\n" in space, "" in space, b"text" in space, len(space.sample()) <= 10
        (True, True, False, True)
    """

    def __init__(self, max_length: int = _LONGEST_SAMPLE, *, seed: Any = None) -> None:
        """Make the space.

        Args:
            max_length: the length of the longest sample, in characters. Other texts may be longer.
            seed: the seed of the samples.
        """
        super().__init__(max_length, charset=_SAMPLED, seed=seed)

    def contains(self, x: Any) -> bool:
        """Tell whether something is a text."""
        return isinstance(x, str)

    @property
    def is_np_flattenable(self) -> bool:
        """Whether it can be an array of numbers: a text of any length and characters cannot."""
        return False

    def __repr__(self) -> str:
        return f"AnyText({self.max_length})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, AnyText) and other.max_length == self.max_length

    __hash__ = None  # type: ignore[assignment]  # as every other space


class MessageDict(spaces.Dict):
    """Every message: a dict with the texts ``role`` and ``content``, and what else a game adds, such as ``image``.

    PettingZoo's checker takes only this form of a space of dicts.

    Examples:
        >>> MessageDict().contains({"role": "user", "content": "Guess!", "image": ["board.png"]})
        True
        >>> MessageDict().contains({"role": "user"})
        False
    """

    def __init__(self, *, seed: Any = None) -> None:
        """Make the space; samples have no further keys."""
        super().__init__({"role": AnyText(_LONGEST_ROLE), "content": AnyText()}, seed=seed)

    def contains(self, x: Any) -> bool:
        """Tell whether something is a message."""
        return _is_message(x)


class MessageSpace(gymnasium.Space[dict[str, Any]]):
    """The same messages for Gymnasium.

    Its checker wants exactly the keys of a ``gymnasium.spaces.Dict`` in each observation, and a batch would lose
    all others. A batch of messages of this space is a tuple of them.

    Examples:
        >>> MessageSpace().contains({"role": "user", "content": "Guess!", "image": ["board.png"]})
        True
    """

    def __init__(self, *, seed: Any = None) -> None:
        """Make the space; samples have no further keys."""
        self.spaces = {"role": AnyText(_LONGEST_ROLE), "content": AnyText()}
        super().__init__(None, None, seed)

    def __getitem__(self, key: str) -> AnyText:
        return self.spaces[key]

    def seed(self, seed: Any = None) -> Any:
        """Seed the samples."""
        seeds = super().seed(seed)
        for space in self.spaces.values():
            space.seed(int(self.np_random.integers(2**31)))
        return seeds

    def sample(self, mask: Any = None, probability: Any = None) -> dict[str, Any]:
        """Return a message of arbitrary characters.

        Args:
            mask: must be None: there is nothing to choose from.
            probability: must be None.
        """
        if mask is not None or probability is not None:
            raise EnvError("a sample of messages takes neither a mask nor probabilities")
        return {key: space.sample() for key, space in self.spaces.items()}

    def contains(self, x: Any) -> bool:
        """Tell whether something is a message."""
        return _is_message(x)

    @property
    def is_np_flattenable(self) -> bool:
        """Whether it can be an array of numbers."""
        return False

    def __repr__(self) -> str:
        return "MessageSpace()"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, MessageSpace)

    __hash__ = None  # type: ignore[assignment]  # as every other space


def _is_message(x: Any) -> bool:
    return isinstance(x, dict) and all(isinstance(x.get(key), str) for key in ("role", "content"))
