"""Random numbers: each episode its own stream, whatever other threads draw."""

from __future__ import annotations

import random
import subprocess
import sys
import threading
from collections.abc import Iterator
from random import choice as choice_by_name
from random import random as random_by_name  # noqa: F401 - replaced in this module
from typing import Any

import pytest

from clemcore.clemgame.engine import randomness
from clemcore.clemgame.engine.randomness import Dispatch, Stream, drawing_from


@pytest.fixture(autouse=True)
def _dispatch() -> Iterator[None]:
    dispatch = Dispatch()
    dispatch.install()
    yield
    dispatch.remove()
    assert type(random._inst) is random.Random


def _draws() -> list[Any]:
    return [
        random.random(),
        random.gauss(0, 1),
        random.choice("abcdef"),
        random.gauss(0, 1),  # the second of a pair
        random.sample(range(100), 5),
        random.getrandbits(70),
        choice_by_name([1, 2, 3]),
        globals()["random_by_name"](),
        random.shuffle([1, 2]),
    ]


def _expected(seed: int) -> list[Any]:
    own = random.Random(seed)
    return [
        own.random(),
        own.gauss(0, 1),
        own.choice("abcdef"),
        own.gauss(0, 1),
        own.sample(range(100), 5),
        own.getrandbits(70),
        own.choice([1, 2, 3]),
        own.random(),
        own.shuffle([1, 2]),
    ]


def test_a_stream_is_that_of_its_seed() -> None:
    with drawing_from(Stream(7)):
        assert _draws() == _expected(7)


def test_the_generator_of_the_process_goes_on_as_if_nothing_had_been_drawn() -> None:
    random.seed(5)
    first = random.random(), random.gauss(0, 1)
    with drawing_from(Stream(7)):
        random.seed(3)
        _draws()
    second = random.gauss(0, 1), random.random()
    own = random.Random(5)
    assert first + second == (own.random(), own.gauss(0, 1), own.gauss(0, 1), own.random())


def test_a_draw_of_another_thread_changes_no_episode() -> None:
    def draw() -> None:
        random.seed(0)
        _draws()

    stream = Stream(7)
    with drawing_from(stream):
        before = random.random()
        other = threading.Thread(target=draw)
        other.start()
        other.join()
        after = random.gauss(0, 1)
    own = random.Random(7)
    assert (before, after) == (own.random(), own.gauss(0, 1))


def test_a_game_may_seed_save_and_restore() -> None:
    with drawing_from(Stream(7)):
        random.seed(11)
        state = random.getstate()
        first = random.random()
        random.setstate(state)
        assert random.random() == first == random.Random(11).random()


def test_numpy_draws_from_the_stream() -> None:
    np = pytest.importorskip("numpy")
    from numpy.random import normal as normal_by_name

    with drawing_from(Stream(7)):
        first = np.random.normal(size=3).tolist(), normal_by_name(), np.random.default_rng().integers(1 << 40)
        np.random.seed(3)
        seeded = np.random.rand(2).tolist()
    np.random.seed(1)
    with drawing_from(Stream(7)):
        assert first == (
            np.random.normal(size=3).tolist(),
            normal_by_name(),
            np.random.default_rng().integers(1 << 40),
        )
    assert seeded == np.random.RandomState(3).rand(2).tolist()
    assert np.random.rand() == np.random.RandomState(1).rand()


def test_numpy_is_dispatched_when_it_is_imported_later() -> None:
    pytest.importorskip("numpy")
    code = (
        "import sys; from clemcore.clemgame.engine.randomness import Dispatch, Stream, drawing_from\n"
        "d = Dispatch(); d.install(); assert 'numpy' not in sys.modules\n"
        "with drawing_from(Stream(1)):\n"
        "    import numpy as np; a = np.random.rand()\n"
        "    from numpy.random import rand\n"
        "with drawing_from(Stream(1)):\n"
        "    assert rand() == a\n"
        "d.remove(); np.random.seed(2); assert np.random.rand() == np.random.RandomState(2).rand()\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_nothing_is_loaded_for_it() -> None:
    code = f"import sys, {randomness.__name__}; assert 'numpy' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_an_owner_that_is_collected_while_another_one_installs() -> None:
    code = """
import random, weakref
from clemcore.clemgame.engine import randomness
from clemcore.clemgame.engine.randomness import Dispatch, Stream, drawing_from

class Owner:
    '''Such as an environment that nobody closed.'''

owners, theirs, ours = [Owner()], Dispatch(), Dispatch()
weakref.finalize(owners[0], theirs.remove)
install = randomness._Replaced.install

def collecting(replaced):
    owners.clear()
    install(replaced)

randomness._Replaced.install = collecting
ours.install()
drawn = []
for _ in range(2):
    with drawing_from(Stream(1)):
        drawn.append(random.random())
ours.remove()
print(drawn[0] == drawn[1], type(random._inst) is random.Random)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "True True\n"
