"""Handing pieces from one thread to another: a queue with room for a few."""

from __future__ import annotations

from queue import SimpleQueue
from typing import Generic, TypeVar

T = TypeVar("T")


class BoundedQueue(Generic[T]):
    """As `queue.Queue` with that room, for `put` and `get` alone; `put` waits while it is full.

    `queue.Queue` is written in Python and wakes a thread that then waits for the lock of the one
    that woke it.  Two of C's endless queues, one of them for the room that is left, do not.
    """

    def __init__(self, room: int) -> None:
        self._pieces: SimpleQueue[T] = SimpleQueue()
        self._room: SimpleQueue[None] = SimpleQueue()
        for _ in range(room):
            self._room.put(None)

    def put(self, piece: T) -> None:
        """Hand over a piece, when there is room for it."""
        self._room.get()
        self._pieces.put(piece)

    def get(self) -> T:
        """The next piece, when there is one."""
        piece = self._pieces.get()
        self._room.put(None)
        return piece
