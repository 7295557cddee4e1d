"""A queue with room for a few: in order, and no further ahead than that."""

from __future__ import annotations

import threading

from corten.archive.handing import BoundedQueue


def test_pieces_come_in_the_order_they_were_put() -> None:
    queue: BoundedQueue[int] = BoundedQueue(3)
    taken: list[int] = []

    def take() -> None:
        while (piece := queue.get()) >= 0:
            taken.append(piece)

    thread = threading.Thread(target=take)
    thread.start()
    for piece in [*range(1000), -1]:
        queue.put(piece)
    thread.join()
    assert taken == list(range(1000))


def test_who_puts_waits_while_it_is_full() -> None:
    queue: BoundedQueue[int] = BoundedQueue(2)
    put: list[int] = []
    full = threading.Event()

    def give() -> None:
        for piece in range(3):
            if piece == 2:
                full.set()
            queue.put(piece)
            put.append(piece)

    thread = threading.Thread(target=give)
    thread.start()
    assert full.wait(10)
    assert put == [0, 1]
    assert queue.get() == 0
    thread.join()
    assert put == [0, 1, 2]
