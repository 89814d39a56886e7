"""Draws tokens with noise that depends on the seed and on the number of the token, and on nothing else.

Adding Gumbel noise to scores and taking the best one draws from the probabilities that the scores stand for (the
"Gumbel-max trick"; Gumbel 1954, Maddison et al. 2014, https://arxiv.org/abs/1411.0030). The noise comes from the
counter-based generator Philox4x64-10 (Salmon et al. 2011, https://doi.org/10.1145/2063384.2063405), whose stream
NumPy keeps the same in all versions. So an answer is the same in any batch, at any position and after any call.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

# A change that gives other draws for a seed gets a new version.
NAME, VERSION = "gumbel-philox4x64", 1
# The upper 53 bits of a number become the middle of one of 2**53 equal parts of the interval from 0 to 1.
_UNUSED_BITS, _PARTS = 11, 2.0**-53


def gumbel_noise(seed: int, step: int, size: int, places: Any = None) -> Any:
    """Return Gumbel noise.

    Args:
        seed: the seed of the answer, from 0 to 2**64 - 1.
        step: number of the token in the answer, from 0.
        size: number of tokens in the vocabulary.
        places: ids of the tokens whose noise is needed, or None for all. It does not change their noise.

    Returns:
        float64, shape (size,), or that of ``places``.
    """
    import numpy as np

    numbers = _numbers(seed, step, size)
    if places is not None:
        numbers = numbers[places]
    uniform = ((numbers >> np.uint64(_UNUSED_BITS)).astype(np.float64) + 0.5) * _PARTS
    return -np.log(-np.log(uniform))


@functools.lru_cache(maxsize=1)
def _numbers(seed: int, step: int, size: int) -> Any:
    """Return the generator's numbers; the last ones are kept for who looks at the same choice again."""
    import numpy as np

    return np.random.Philox(key=np.array([seed, step], dtype=np.uint64)).random_raw(size)


class Sampler:
    """Takes a token by chance, with the probabilities that the scores stand for.

    Attributes:
        places: ids of the tokens that the last choice was made from.
        noisy: their scores with the noise.
    """

    def __init__(self, seed: int) -> None:
        """Take the seed of the answer, from 0 to 2**63 - 1."""
        self.seed = seed
        self.places: Any = None
        self.noisy: Any = None

    def __call__(self, scores: Any, step: int) -> int:
        """Return the id of a token; one with the score -inf is never taken."""
        import numpy as np

        places = np.flatnonzero(scores > -np.inf)
        self.places = places
        self.noisy = scores[places].astype(np.float64) + gumbel_noise(self.seed, step, len(scores), places)
        return int(places[self.noisy.argmax()])

    def facts(self) -> Mapping[str, Any]:
        """Return the name and the version of the sampler; the seed is among the arguments that were sent."""
        return {"sampler": {"name": NAME, "version": VERSION}}
