"""Jobs that are computed together: continuously, in groups of similar length, and when memory is short."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from clemcore.backends.huggingface_local import HuggingfaceLocalModel
from clemcore.backends.local.arguments import Arguments
from clemcore.backends.local.engine import Generated, Job
from clemcore.backends.local.transformers.groups import groups_of, padding_of
from clemcore.errors import GenerationError
from support.tiny import END, load

if TYPE_CHECKING:
    from clemcore.backends.local.transformers.engine import TransformersEngine

pytestmark = pytest.mark.slow  # importing torch and transformers alone takes seconds

# Tests that change a model have weights of their own.
OWN = {"premade_chat_template": True, "eos_to_cull": END, "own_weights": True}
LENGTHS = (40, 3, 77, 41, 12, 100, 5, 33)


@pytest.fixture
def engine(model: HuggingfaceLocalModel) -> TransformersEngine:
    made: TransformersEngine = model._engine  # type: ignore[assignment]
    return made


def prompt(length: int, start: int = 5) -> list[int]:
    return [(start + 7 * n) % 250 + 3 for n in range(length)]


def jobs_of(lengths: Sequence[int] = LENGTHS, most: int = 12, **hooks: Any) -> list[Job]:
    return [Job(prompt(n, n), Arguments(temperature=0.0, max_tokens=most), **hooks) for n in lengths]


def results(engine: TransformersEngine, jobs: Sequence[Job], way: str = "together") -> list[Any]:
    found = dict(engine.generate(jobs, way))
    return [found[job] for job in jobs]


def way_of(result: Generated) -> str:
    return str(result.facts["grouping"]["way"])


def noting(seen: list[Any]) -> Any:
    def choose(scores: Any, _ids: Sequence[int]) -> int:
        seen.append(scores.clone())
        return int(scores.argmax())

    return choose


def test_draws_of_the_caller_do_not_depend_on_a_batch(engine: TransformersEngine) -> None:
    """Where room is made for a batch, the library seeds torch."""
    import torch

    from clemcore.backends.local.transformers.continuous import PAGE, Continuous, Size

    assert {way_of(each) for each in results(engine, jobs_of())} == {"continuous"}
    torch.manual_seed(5)
    before = torch.get_rng_state()
    Continuous(engine._model, Size(8 * PAGE, 2)).close()
    assert torch.equal(torch.get_rng_state(), before)


class TestContinuous:
    @pytest.mark.parametrize("attention", ["sdpa", "eager"])
    def test_answers_are_those_of_each_job_alone(self, tiny_chat: Path, attention: str) -> None:
        model = load(tiny_chat, {"premade_chat_template": True, "attn_implementation": attention})
        engine: Any = model._engine
        jobs = jobs_of()
        together, alone = results(engine, jobs), results(engine, jobs, "alone")
        for one, other in zip(together, alone, strict=True):
            assert (one.ids, one.ending, one.ends, one.sent) == (other.ids, other.ending, other.ends, other.sent)
            assert way_of(one) == "continuous"
        assert together[0].facts["grouping"]["size"] == len(jobs)
        assert model.model.config._attn_implementation == attention

    def test_scores_are_those_of_the_model(self, engine: TransformersEngine, model: HuggingfaceLocalModel) -> None:
        """Oracle: a plain call of the model with the same tokens."""
        import torch

        seen: list[list[Any]] = [[] for _ in LENGTHS]
        jobs = [
            Job(prompt(n, n), Arguments(temperature=0.0, max_tokens=5), choose=noting(row))
            for n, row in zip(LENGTHS, seen, strict=True)
        ]
        for job, row, result in zip(jobs, seen, results(engine, jobs), strict=True):
            with torch.no_grad():
                ids = torch.tensor([[*job.ids, *result.ids[:-1]]], device=model.device)
                expected = model.model(ids).logits[0, len(job.ids) - 1 :]
            torch.testing.assert_close(torch.stack(row).to(expected.device), expected, rtol=0, atol=1e-4)

    def test_a_job_chooses_its_tokens_and_fails_alone(self, engine: TransformersEngine) -> None:
        told: list[tuple[int, ...]] = []

        def second_best(scores: Any, ids: Sequence[int]) -> int:
            told.append(tuple(ids))
            return int(scores.topk(2).indices[1])

        def fails(_scores: Any, ids: Sequence[int]) -> int:
            if len(ids) == 2:
                raise GenerationError("no third token")
            return 7

        chosen, plain, failed = jobs_of((30, 20, 10), 4)
        chosen.choose, failed.choose = second_best, fails
        one, two, three = results(engine, [chosen, plain, failed])
        assert told == [tuple(one.ids[:n]) for n in range(len(one.ids))]
        assert two.ids == results(engine, [plain], "alone")[0].ids
        assert isinstance(three, GenerationError)

    def test_hooks_end_an_answer_at_their_token(self, engine: TransformersEngine) -> None:
        told: list[list[int]] = []

        def third(ids: Sequence[int]) -> bool:
            told.append(list(ids))
            return len(ids) == 3

        answers: Iterator[bool] = iter([False, True])
        ended, cancelled, broken, plain = jobs_of((30, 20, 10, 15))
        ended.on_tokens = third
        cancelled.cancelled = lambda: next(answers)
        broken.on_tokens = lambda _: 1 // 0 == 0
        one, two, three, four = results(engine, [ended, cancelled, broken, plain])
        assert (one.ending, two.ending, four.ending) == ("on_tokens", "cancelled", "length")
        assert (len(one.ids), len(two.ids), len(four.ids)) == (3, 2, 12)
        assert told == [one.ids[:1], one.ids[:2], one.ids]
        assert isinstance(three, Exception)
        assert isinstance(three.__cause__, ZeroDivisionError)

    def test_a_cancelled_job_that_waits_never_begins(self, engine: TransformersEngine) -> None:
        job = jobs_of((30,))[0]
        job.cancelled = lambda: True
        (result,) = results(engine, [job])
        assert result.ending == "cancelled"
        assert len(result.ids) <= 1

    def test_answers_come_as_they_end(self, engine: TransformersEngine) -> None:
        short, long = jobs_of((30, 20), 20)
        short.arguments = Arguments(temperature=0.0, max_tokens=2)
        order = [job for job, _ in engine.generate([long, short], "together")]
        assert order == [short, long]

    def test_jobs_join_while_others_are_computed(self, engine: TransformersEngine) -> None:
        first, late = jobs_of((30, 20))
        waiting = [first]

        class Source:
            def __iter__(self) -> Source:
                return self

            def __next__(self) -> Job:
                if not waiting:
                    raise StopIteration
                return waiting.pop()

        def arrives(ids: Sequence[int]) -> bool:
            if len(ids) == 3:
                waiting.append(late)
            return False

        first.on_tokens = arrives
        found: dict[Job, Any] = dict(engine.generate(Source(), "together"))
        assert [way_of(found[job]) for job in (first, late)] == ["continuous"] * 2
        assert found[late].facts["grouping"]["size"] == 2
        assert found[late].ids == results(engine, [late], "alone")[0].ids

    def test_what_is_kept_does_not_outlive_a_change_of_weights(self, tiny_chat: Path) -> None:
        import torch

        model = load(tiny_chat, {**OWN, "kept_cache": 10_000_000})
        engine: Any = model._engine
        results(engine, jobs_of((100,)))
        with torch.no_grad():
            model.model.model.embed_tokens.weight.mul_(-1.5)
        seen: list[Any] = []
        (job,) = jobs_of((100,), 1, choose=noting(seen))
        results(engine, [job])
        with torch.no_grad():
            expected = model.model(torch.tensor([job.ids], device=model.device)).logits[0, -1]
        torch.testing.assert_close(seen[0].to(expected.device), expected, rtol=0, atol=1e-3)

    def test_a_second_batch_at_the_same_time_is_computed_in_groups(self, engine: TransformersEngine) -> None:
        outer = engine.generate(jobs_of((30, 20)), "together")
        next(outer)
        assert {way_of(result) for result in results(engine, jobs_of((10, 11)))} == {"padded"}
        assert len(list(outer)) == 1

    def test_a_batch_that_is_left_gives_its_room_back(self, engine: TransformersEngine) -> None:
        left: Any = engine.generate(jobs_of((30, 20)), "together")
        next(left)
        left.close()
        assert {way_of(result) for result in results(engine, jobs_of((10, 11)))} == {"continuous"}

    def test_nothing_on_standard_error(self, engine: TransformersEngine, capfd: pytest.CaptureFixture[str]) -> None:
        results(engine, jobs_of())
        captured = capfd.readouterr()
        assert (captured.out, captured.err) == ("", "")


class TestGroups:
    def test_little_padding(self) -> None:
        jobs = jobs_of((100, 10, 81, 9, 12, 99, 30, 11), 5)
        groups = groups_of(jobs, 32)
        assert sorted(len(job.ids) for group in groups for job in group) == sorted(len(job.ids) for job in jobs)
        assert [[len(job.ids) for job in group] for group in groups] == [[100, 99, 81], [30], [12, 11, 10, 9]]
        assert all(padding_of(group) <= 0.2 for group in groups)
        assert max(map(len, groups_of(jobs, 2))) == 2

    def test_searches_are_computed_in_groups(
        self, engine: TransformersEngine, model: HuggingfaceLocalModel
    ) -> None:
        own = model.model.generation_config
        own.num_beams = 2
        try:
            jobs = jobs_of((10, 11))
            together, alone = results(engine, jobs), results(engine, jobs, "alone")
        finally:
            own.num_beams = 1
        assert [way_of(result) for result in together] == ["padded"] * 2
        assert [result.ids for result in together] == [result.ids for result in alone]

    def test_an_attention_that_paged_caches_do_not_have(self, tiny_chat: Path) -> None:
        model = load(tiny_chat, OWN)
        engine: Any = model._engine
        engine.together._is_able = False
        jobs = jobs_of()
        together, alone = results(engine, jobs), results(engine, jobs, "alone")
        assert [result.ids for result in together] == [result.ids for result in alone]
        assert {way_of(result) for result in together} == {"padded"}
        assert all(result.facts["grouping"]["padding"] <= 0.2 for result in together)


class TestShortMemory:
    """A step that lacks memory gives its jobs back; batches get smaller, and larger again."""

    def test_continuous_batches_shrink_and_grow(self, tiny_chat: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        model = load(tiny_chat, OWN)
        engine: Any = model._engine
        expected = [result.ids for result in results(engine, jobs_of(), "alone")]
        freed: list[bool] = []
        engine.together.free_kept = lambda: freed.append(True)
        results(engine, jobs_of((5,)))
        from clemcore.backends.local.transformers.continuous import Continuous

        real, sizes = Continuous.step, []

        def short_of_memory(self: Continuous) -> Any:
            sizes.append(len(self.jobs))
            if len(self.jobs) > 3:
                raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes.")
            return real(self)

        monkeypatch.setattr(Continuous, "step", short_of_memory)
        found = results(engine, jobs_of())
        assert [result.ids for result in found] == expected
        assert freed
        assert sizes[:2] == [8, 4]
        assert {result.facts["grouping"]["size"] for result in found} <= {1, 2, 3}
        monkeypatch.setattr(Continuous, "step", real)
        for _ in range(3):
            found = results(engine, jobs_of())
        assert {result.facts["grouping"]["size"] for result in found} == {8}

    def test_groups_shrink(self, tiny_chat: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        model = load(tiny_chat, OWN)
        engine: Any = model._engine
        engine.together._is_able = False
        jobs = jobs_of((30,) * 6)
        expected = [result.ids for result in results(engine, jobs)]
        real, sizes = model.model.generate, []

        def short_of_memory(**inputs: Any) -> Any:
            rows = len(inputs["input_ids"])
            sizes.append(rows)
            if rows > 2:
                raise MemoryError("no room")
            return real(**inputs)

        monkeypatch.setattr(model.model, "generate", short_of_memory)
        assert [result.ids for result in results(engine, jobs)] == expected
        assert sizes[:2] == [6, 3]
        assert max(sizes[2:]) <= 3

    def test_a_job_that_has_no_room_even_alone(self, tiny_chat: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        model = load(tiny_chat, OWN)
        engine: Any = model._engine
        engine.together._room._free = lambda: 0
        assert [way_of(result) for result in results(engine, jobs_of((30,)))] == ["padded"]

        def short_of_memory(**_: Any) -> Any:
            raise MemoryError("no room")

        monkeypatch.setattr(model.model, "generate", short_of_memory)
        (failed,) = results(engine, jobs_of((30,)))
        assert isinstance(failed, GenerationError)
        assert isinstance(failed.__cause__, MemoryError)


class TestRoom:
    def test_jobs_that_need_more_room_than_was_reserved(
        self, tiny_chat: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The library puts jobs aside and computes their states again; hooks see all tokens all the same."""
        from clemcore.backends.local.transformers import continuous

        monkeypatch.setattr(continuous, "_RESERVED", 1)
        model = load(tiny_chat, OWN)
        engine: Any = model._engine
        monkeypatch.setattr(
            engine.together._room, "size", lambda *_: continuous.Size(6 * continuous.PAGE, 8), raising=True
        )
        told: list[list[int]] = []

        def choose(scores: Any, ids: Sequence[int]) -> int:
            told.append(list(ids))
            return 3 + (len(ids) * 7 + int(scores.argmax())) % 200

        jobs = jobs_of((40, 20, 41, 33), 70, choose=choose)
        together = results(engine, jobs)
        assert {way_of(result) for result in together} == {"continuous"}
        assert [len(result.ids) for result in together] == [70] * 4
        for result in together:
            assert all(result.ids[:n] in told for n in range(70))
        assert [result.ids for result in together] == [result.ids for result in results(engine, jobs, "alone")]

    def test_a_job_larger_than_all_room_is_computed_all_the_same(
        self, tiny_chat: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from clemcore.backends.local.transformers import continuous

        monkeypatch.setattr(continuous, "_RESERVED", 1)
        model = load(tiny_chat, OWN)
        engine: Any = model._engine
        monkeypatch.setattr(engine.together._room, "size", lambda *_: continuous.Size(3 * continuous.PAGE, 8))
        jobs = jobs_of((40, 20), 200)
        together = results(engine, jobs)
        assert [result.ids for result in together] == [result.ids for result in results(engine, jobs, "alone")]

    def test_the_pool_is_as_large_as_calculated(self, engine: TransformersEngine) -> None:
        results(engine, jobs_of())
        runner: Any = engine.together._runner
        pool = runner._processor.cache.cache_tensor.nbytes
        state = sum(filter(None, engine.describe().state_bytes.values()))
        assert runner.size.tokens * state <= pool <= 1.05 * runner.size.tokens * state


_LIMITED = """
import re, resource, sys
sys.path.insert(0, sys.argv[2])
from pathlib import Path
from support.tiny import load
from test_local_together import jobs_of, results
from clemcore.backends.local.transformers.room import Room

model = load(Path(sys.argv[1]), {"premade_chat_template": True, "torch_num_threads": 1})
engine = model._engine
jobs = jobs_of((300,) * 24, 8)
expected = [result.ids for result in results(engine, jobs, "alone")]
results(engine, jobs_of((5, 6)))
engine.together.forget()
freed = []
engine.together.free_kept = lambda: freed.append(1)
if sys.argv[3] == "blind":  # as where free memory is not known: torch itself has to say that there is none
    engine.together._room._free = lambda: 1 << 32
used = int(re.search(r"VmData:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) * 1024
resource.setrlimit(resource.RLIMIT_DATA, (used + int(sys.argv[4]), resource.RLIM_INFINITY))
found = results(engine, jobs)
resource.setrlimit(resource.RLIMIT_DATA, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
assert [result.ids for result in found] == expected, found
sizes = {result.facts["grouping"]["size"] for result in found}
print("freed" if freed else "-", max(sizes), sorted({result.facts["grouping"]["way"] for result in found}))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="RLIMIT_DATA limits what torch takes on Linux only")
@pytest.mark.parametrize(("sight", "more"), [("seeing", 24_000_000), ("blind", 8_000_000), ("blind", 3_000_000)])
def test_under_a_limit_of_memory_batches_are_smaller_and_nothing_is_lost(
    tiny_chat: Path, sight: str, more: int
) -> None:
    here = Path(__file__).parent
    code = f"import sys; sys.path.insert(0, {str(here)!r})\n{_LIMITED}"
    done = subprocess.run(
        [sys.executable, "-c", code, str(tiny_chat), str(here.parent), sight, str(more)],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    freed, size, *_ = done.stdout.split()
    assert int(size) < 24
    assert freed == ("freed" if sight == "blind" else "-")
