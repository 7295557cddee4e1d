from __future__ import annotations

import pytest

from corten.content.ingest import StorageFull
from corten.content.retry import Patience, retrying
from corten.errors import Cancelled, NotFound, Unavailable

_QUICK = Patience(attempts=3, first=0.0, longest=0.0, in_all=10)


class _Work:
    """Fails with the errors it is given, one a try; `steps` says how far each try gets."""

    def __init__(self, *errors: Exception, steps: int = 0) -> None:
        self.errors = list(errors)
        self.tries = 0
        self.reached = 0
        self.steps = steps

    def __call__(self) -> str:
        self.tries += 1
        self.reached += self.steps
        if self.errors:
            raise self.errors.pop(0)
        return "done"


def _check() -> None:
    pass


def test_success_needs_one_try() -> None:
    work = _Work()
    assert retrying(work, _check, lambda: 0, _QUICK) == "done"
    assert work.tries == 1


def test_unavailable_is_tried_again() -> None:
    work = _Work(Unavailable("1"), Unavailable("2"))
    assert retrying(work, _check, lambda: 0, _QUICK) == "done"
    assert work.tries == 3


def test_it_gives_up_after_so_many_tries() -> None:
    work = _Work(*(Unavailable(str(n)) for n in range(9)))
    with pytest.raises(Unavailable, match="2"):
        retrying(work, _check, lambda: 0, _QUICK)
    assert work.tries == 3


def test_progress_makes_patient_but_not_for_ever() -> None:
    work = _Work(*(Unavailable(str(n)) for n in range(6)), steps=1)
    assert retrying(work, _check, lambda: work.reached, _QUICK) == "done"
    work = _Work(*(Unavailable(str(n)) for n in range(99)), steps=1)
    with pytest.raises(Unavailable):
        retrying(work, _check, lambda: work.reached, _QUICK)
    assert work.tries == 10


@pytest.mark.parametrize("error", [NotFound("x"), StorageFull("x"), ValueError("x")])
def test_nothing_else_is_tried_again(error: Exception) -> None:
    work = _Work(error)
    with pytest.raises(type(error)):
        retrying(work, _check, lambda: 0, _QUICK)
    assert work.tries == 1


def test_waiting_can_be_cancelled() -> None:
    def check() -> None:
        raise Cancelled("cancelled")

    work = _Work(Unavailable("x"))
    with pytest.raises(Cancelled):
        retrying(work, check, lambda: 0, Patience(first=1000.0, longest=1000.0))
    assert work.tries == 1
