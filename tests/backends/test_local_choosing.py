"""How local models choose tokens: filters, penalties and noise. The oracles are transformers' own processors."""

from __future__ import annotations

import math
from typing import Any

import pytest

from clemcore.backends.local.arguments import Arguments
from clemcore.backends.local.choosing.building import chooser_of
from clemcore.backends.local.choosing.chooser import Chooser, Greedy
from clemcore.backends.local.choosing.filters import MinP, Temperature, TopK, TopP
from clemcore.backends.local.choosing.penalties import Repetition
from clemcore.backends.local.choosing.rules import Rules
from clemcore.backends.local.choosing.sampler import Sampler, gumbel_noise
from clemcore.errors import GenerationError

pytestmark = pytest.mark.slow  # importing torch and transformers alone takes seconds

MASK = 2**64 - 1


def philox(key: tuple[int, int], block: int) -> list[int]:
    """Philox4x64-10 in whole numbers, after the paper of Salmon et al.; the counter of the first block is 1."""
    counter, keys = [block, 0, 0, 0], list(key)
    for _ in range(10):
        products = 0xD2E7470EE14C6C93 * counter[0], 0xCA5A826395121157 * counter[2]
        counter = [
            (products[1] >> 64) ^ counter[1] ^ keys[0],
            products[1] & MASK,
            (products[0] >> 64) ^ counter[3] ^ keys[1],
            products[0] & MASK,
        ]
        keys = [(keys[0] + 0x9E3779B97F4A7C15) & MASK, (keys[1] + 0xBB67AE8584CAA73B) & MASK]
    return counter


class TestNoise:
    def test_published_values_of_the_generator(self) -> None:
        """The known answer of Random123 for a counter and a key of zeros."""
        assert philox((0, 0), 0)[0] == 0x16554D9ECA36314C

    @pytest.mark.parametrize(("seed", "step"), [(0, 0), (3, 17), (2**63 - 1, 4)])
    def test_it_is_the_generators_noise(self, seed: int, step: int) -> None:
        numbers = [number for block in (1, 2, 3) for number in philox((seed, step), block)][:10]
        expected = [-math.log(-math.log(((number >> 11) + 0.5) * 2.0**-53)) for number in numbers]
        assert gumbel_noise(seed, step, 10).tolist() == pytest.approx(expected, rel=1e-12)

    def test_a_part_has_the_noise_of_the_whole(self) -> None:
        whole = gumbel_noise(5, 6, 1000)
        assert (gumbel_noise(5, 6, 1000, [3, 999, 4]) == whole[[3, 999, 4]]).all()

    def test_seeds_and_steps_differ(self) -> None:
        rows = [gumbel_noise(seed, step, 8).tobytes() for seed in range(4) for step in range(4)]
        assert len(set(rows)) == 16


class TestFilters:
    """The same tokens stay as with transformers, with the same scores."""

    def warped(self, warpers: list[Any], scores: Any) -> Any:
        import torch

        found = torch.from_numpy(scores)[None]
        for warper in warpers:
            found = warper(None, found)
        return found[0].numpy()

    @pytest.mark.parametrize("size", [5, 300, 49_152])
    @pytest.mark.parametrize(
        ("temperature", "top_k", "top_p", "min_p"),
        [
            (0.3, 0, 1.0, 0.0),
            (1.0, 7, 1.0, 0.0),
            (1.0, 0, 0.8, 0.0),
            (1.7, 0, 1.0, 0.05),
            (0.7, 50, 0.95, 0.02),
            (2.0, 10_000, 0.1, 1.0),
            (1.0, 1, 0.5, 0.5),
        ],
    )
    def test_as_transformers(self, size: int, temperature: float, top_k: int, top_p: float, min_p: float) -> None:
        import numpy as np
        from transformers.generation import logits_process as library

        ours: list[Any] = [Temperature(temperature)]
        theirs: list[Any] = [library.TemperatureLogitsWarper(temperature)]
        if top_k:
            ours.append(TopK(top_k))
            theirs.append(library.TopKLogitsWarper(top_k))
        if top_p < 1:
            ours.append(TopP(top_p))
            theirs.append(library.TopPLogitsWarper(top_p))
        if min_p:
            ours.append(MinP(min_p))
            theirs.append(library.MinPLogitsWarper(min_p))
        for seed in range(5):
            scores = np.random.default_rng(seed).normal(0, 4, size).astype(np.float32)
            found: Any = scores
            for step in ours:
                found = step(found, [])
            expected = self.warped(theirs, scores)
            assert np.array_equal(found > -np.inf, expected > -np.inf)
            assert found == pytest.approx(expected, rel=1e-6)

    def test_level_tokens(self) -> None:
        import numpy as np

        scores = np.array([1.0, 2.0, 2.0, 2.0, 0.0])
        assert (TopK(2)(scores, []) > -np.inf).tolist() == [False, True, True, True, False]
        assert (TopP(0.01)(scores, []) > -np.inf).sum() == 1
        assert (MinP(1.0)(scores, []) > -np.inf).sum() == 3


class TestRepetition:
    @pytest.mark.parametrize("penalty", [0.5, 1.1, 50.0])
    def test_as_transformers_to_the_bit(self, penalty: float) -> None:
        import numpy as np
        import torch
        from transformers.generation.logits_process import RepetitionPenaltyLogitsProcessor

        prompt, new = [1, 2, 2, 7], [3, 7, 3]
        step = Repetition(penalty, prompt)
        for count in (0, 1, 2, 3, 0, 3):
            scores = np.random.default_rng(count).normal(0, 5, 30).astype(np.float32)
            ids = torch.tensor([prompt + new[:count]])
            expected = RepetitionPenaltyLogitsProcessor(penalty)(ids, torch.from_numpy(scores.copy())[None])[0]
            assert np.array_equal(step(scores, new[:count]), expected.numpy())


class TestSampler:
    def test_the_distribution(self) -> None:
        """A chi-square test over 20,000 steps; the limit is passed by chance once in a million times."""
        import numpy as np

        scores = np.array([0.0, 1.0, 2.0, -1.0, 0.5, -np.inf], dtype=np.float32)
        weights = np.exp(scores.astype(np.float64))
        expected = 20_000 * weights / weights.sum()
        for draws in (
            [Sampler(11)(scores, step) for step in range(20_000)],
            [Sampler(seed)(scores, 0) for seed in range(20_000)],
        ):
            counts = np.bincount(draws, minlength=6)
            assert counts[5] == 0
            assert (((counts - expected) ** 2)[:5] / expected[:5]).sum() < 33.4

    def test_the_record_names_it(self) -> None:
        assert Sampler(3).facts() == {"sampler": {"name": "gumbel-philox4x64", "version": 1}}

    def test_its_draws_stay_the_same_for_ever(self) -> None:
        """These draws are those of version 1; others need another version."""
        import numpy as np

        scores = np.linspace(0, 1, 1000).astype(np.float32)
        draws = [Sampler(seed)(scores, step) for seed in (0, 1) for step in (0, 1, 2)]
        assert draws == [956, 995, 215, 668, 737, 381]


class TestBuilding:
    def arguments(self, **values: Any) -> Arguments:
        return Arguments(**{"temperature": 0.0, "max_tokens": 5, **values})

    def test_plain_greedy_jobs_have_none(self) -> None:
        assert chooser_of(Rules(self.arguments(repetition_penalty=1.0)), [1]) is None
        assert chooser_of(Rules(self.arguments(), is_search=True), [1]) is None

    def test_an_answer_may_be_begun_anew(self) -> None:
        import numpy as np

        rules = Rules(self.arguments(temperature=1.0, seed=4, repetition_penalty=2.0))
        chooser = chooser_of(rules, [1, 2])
        assert chooser is not None
        rows = np.random.default_rng(0).normal(0, 2, (6, 40)).astype(np.float32)

        def answer() -> list[int]:
            ids: list[int] = []
            for row in rows:
                ids.append(chooser(row, ids))
            return ids

        assert answer() == answer()

    def test_scores_stay_as_they_are(self) -> None:
        import torch

        scores = torch.randn(50, generator=torch.Generator().manual_seed(0)).to(torch.bfloat16).float()
        before = scores.clone()
        rules = Rules(
            self.arguments(temperature=0.5, seed=4, repetition_penalty=2.0, top_p=0.9, top_k=5, min_p=0.1)
        )
        chooser = chooser_of(rules, [1, 2])
        assert chooser is not None
        chooser(scores, [3])
        assert torch.equal(scores, before)

    @pytest.mark.parametrize(
        "values",
        [
            {"temperature": 1e-308, "seed": 1},
            {"repetition_penalty": 1e-40},
            {"repetition_penalty": 1e-300, "temperature": 1.0, "seed": 1},
        ],
    )
    def test_arguments_that_make_scores_infinite(self, values: dict[str, Any]) -> None:
        import torch

        chooser = chooser_of(Rules(self.arguments(**values)), [1, 2])
        assert chooser is not None
        with pytest.raises(GenerationError, match=r"change the scores of token 0 .* that are not finite"):
            chooser(torch.linspace(5, 20, 50), [])

    def test_greedy_takes_the_best(self) -> None:
        import torch

        assert Chooser([], Greedy())(torch.tensor([0.0, 3.0, 1.0]), []) == 1
