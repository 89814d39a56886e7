"""The tree of kept prefixes: what is found, what goes first, and what it counts."""

from __future__ import annotations

import gc
import os
import random
import threading
import weakref
from collections.abc import Sequence
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from clemcore.backends.local.prefixes import Prefixes

BLOCK, LARGE = 2, 10**9


class Piece:
    """A state that is only what was fed."""

    scores: Any = None

    def __init__(self, ids: Sequence[int], size: int = 10) -> None:
        self.ids, self.bytes = tuple(ids), size

    @property
    def length(self) -> int:
        return len(self.ids)

    def close(self) -> None: ...


def keep(tree: Prefixes, ids: Sequence[int], limit: int = LARGE, *, version: str = "1", block: int = BLOCK) -> None:
    """Keep all whole blocks of a prompt, as a call does."""
    found = tree.longest(ids, block, version)
    begin = 0 if found is None else found.length
    for end in range(begin + block, len(ids), block):
        tree.keep(ids, block, Piece(ids[:end]), version, limit)


def found(tree: Prefixes, ids: Sequence[int], *, version: str = "1", block: int = BLOCK) -> tuple[int, ...]:
    state = tree.longest(ids, block, version)
    return () if state is None else tuple(state.ids)


def test_the_longest_beginning_of_whole_blocks_is_found() -> None:
    tree = Prefixes()
    keep(tree, [1, 2, 3, 4, 5, 6])
    assert found(tree, [1, 2, 3, 4, 9]) == (1, 2, 3, 4)
    assert found(tree, [1, 2, 9, 4, 5]) == (1, 2)
    assert found(tree, [9, 1, 2, 3]) == ()


def test_the_last_token_is_always_fed() -> None:
    tree = Prefixes()
    keep(tree, [1, 2, 3, 4, 5])
    assert found(tree, [1, 2, 3, 4]) == (1, 2)


def test_dialogues_with_one_beginning_share_it() -> None:
    tree = Prefixes()
    keep(tree, [1, 2, 3, 4, 5])
    keep(tree, [1, 2, 7, 8, 9])
    assert tree.bytes == 30


def test_blocks_of_another_length_are_other_states() -> None:
    tree = Prefixes()
    keep(tree, [1, 2, 3, 4, 5])
    assert found(tree, [1, 2, 3, 4, 5], block=4) == ()


def test_another_version_forgets_all() -> None:
    tree = Prefixes()
    keep(tree, [1, 2, 3])
    assert found(tree, [1, 2, 3], version="2") == ()
    assert tree.bytes == 0
    tree.keep([1, 2, 3], BLOCK, Piece([1, 2]), "1", LARGE)  # a call that began before the change
    assert tree.bytes == 0


def test_what_was_not_used_for_the_longest_time_goes_first_and_ends_before_beginnings() -> None:
    tree = Prefixes()
    keep(tree, [1, 2, 3, 4, 5])
    keep(tree, [6, 7, 8, 9, 5])
    assert found(tree, [1, 2, 3, 4, 5]) == (1, 2, 3, 4)
    keep(tree, [0, 0, 0], limit=40)
    assert (found(tree, [6, 7, 8, 9, 5]), found(tree, [1, 2, 3, 4, 5])) == ((6, 7), (1, 2, 3, 4))
    tree.shrink(20)
    assert tree.bytes == 20


def test_a_prompt_that_does_not_fit_keeps_its_beginning() -> None:
    tree = Prefixes()
    keep(tree, [1, 2, 3, 4, 5, 6, 7], limit=20)
    assert found(tree, [1, 2, 3, 4, 5, 6, 7]) == (1, 2, 3, 4)


def test_what_goes_is_freed_at_once() -> None:
    tree, state = Prefixes(), Piece([1, 2])
    tree.keep([1, 2, 3], BLOCK, state, "1", LARGE)
    tree.longest([1, 2, 3], BLOCK, "1")
    tree.keep([1, 2, 3], BLOCK, state, "1", LARGE)
    watched = weakref.ref(state)
    del state
    gc.disable()
    try:
        assert tree.forget() == 10
        assert watched() is None
    finally:
        gc.enable()


@given(
    st.lists(st.tuples(st.lists(st.integers(0, 2), min_size=1, max_size=9), st.integers(0, 8)), max_size=30),
)
def test_bytes_and_beginnings_against_a_plain_dict(prompts: list[tuple[list[int], int]]) -> None:
    """Oracle: without a limit, all beginnings of whole blocks; with one, no more than it and only such ones."""
    free, tight, all_kept = Prefixes(), Prefixes(), set[tuple[int, ...]]()
    for ids, most in prompts:
        keep(free, ids)
        keep(tight, ids, limit=most * 10)
        all_kept |= {tuple(ids[:end]) for end in range(BLOCK, len(ids), BLOCK)}
        longest = max(
            (each for each in all_kept if each == tuple(ids[: len(each)]) and len(each) < len(ids)),
            key=len,
            default=(),
        )
        assert found(free, ids) == longest
        assert found(tight, ids) == tuple(ids[: len(found(tight, ids))])
        tight.shrink(most * 10)
        assert tight.bytes <= most * 10
    assert free.bytes == 10 * len(all_kept)


def test_threads_share_it() -> None:
    tree, faults = Prefixes(), list[Exception]()

    def use(seed: int) -> None:
        draw = random.Random(seed)
        try:
            for _ in range(200):
                ids = draw.choices(range(3), k=draw.randrange(1, 12))
                prefix = found(tree, ids)  # asked once: another thread may drop it before the next call
                assert prefix == tuple(ids[: len(prefix)])
                keep(tree, ids, limit=100)
        except Exception as error:  # noqa: BLE001 - shown below
            faults.append(error)

    threads = [threading.Thread(target=use, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not faults
    assert 0 <= tree.bytes <= 100


def test_a_forked_child_goes_on_by_itself() -> None:
    tree = Prefixes()
    keep(tree, [1, 2, 3])
    child = os.fork()
    if child == 0:
        keep(tree, [4, 5, 6])
        is_right = (found(tree, [1, 2, 3]), tree.bytes, tree.forget()) == ((1, 2), 20, 20)
        os._exit(0 if is_right else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert (found(tree, [1, 2, 3]), tree.bytes) == ((1, 2), 10)
