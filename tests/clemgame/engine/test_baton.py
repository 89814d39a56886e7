"""The baton: one holder, first come, first served."""

from __future__ import annotations

import threading
import time

from clemcore.clemgame.engine.baton import Baton, Place


def test_only_one_thread_holds_it() -> None:
    baton, inside, most = Baton(), [0], [0]

    def play() -> None:
        for _ in range(50):
            baton.take()
            inside[0] += 1
            most[0] = max(most[0], inside[0])
            time.sleep(0)
            inside[0] -= 1
            baton.give()

    threads = [threading.Thread(target=play) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1]
    assert baton.is_idle


def test_it_is_granted_in_the_order_in_which_threads_ask() -> None:
    baton, order = Baton(), list[int]()
    baton.take()

    def play(number: int) -> None:
        baton.take()
        order.append(number)
        baton.give()

    threads = []
    for number in range(30):
        threads.append(threading.Thread(target=play, args=(number,)))
        threads[-1].start()
        while baton.waiting <= number:
            time.sleep(0.0005)
    baton.give()
    for thread in threads:
        thread.join()
    assert order == list(range(30))


def test_it_is_idle_only_when_nobody_wants_it() -> None:
    baton, idle = Baton(), list[int]()
    baton.when_idle(lambda: idle.append(baton.waiting))
    baton.take()
    places = [Place(), Place()]
    baton.line_up(*places)  # by whoever has the answers that these two wait for
    assert baton.waiting == 2
    baton.give()
    places[0].wait()
    assert not idle
    baton.give()
    places[1].wait()
    assert not idle
    baton.give()
    assert idle == [0]
    baton.line_up(Place())
    assert not baton.is_idle
