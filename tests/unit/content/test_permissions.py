"""Another user's store: said to be one, not shown as empty or damaged."""

from __future__ import annotations

import os
import traceback
from collections.abc import Callable
from pathlib import Path

import pytest

from corten.content.listing import CATALOG, image_rows
from corten.content.local import LocalStore
from corten.errors import Denied

NOBODY = 65534

pytestmark = pytest.mark.root


def as_nobody(work: Callable[[], object]) -> int:
    """Run `work` in a child process without rights; 0 if it raised nothing."""
    child = os.fork()
    if not child:
        try:
            os.setgid(NOBODY)
            os.setuid(NOBODY)
            work()
            os._exit(0)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@pytest.fixture
def closed(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    root.mkdir(mode=0o700)
    with LocalStore(root) as store:
        store.names()
    assert (root / CATALOG).exists()
    return root


def test_the_fast_listing_does_not_show_it_as_empty(closed: Path) -> None:
    def look() -> None:
        with pytest.raises(PermissionError):
            image_rows(closed)

    assert as_nobody(look) == 0


def test_the_store_says_that_this_user_may_not_use_it(closed: Path) -> None:
    def look() -> None:
        with LocalStore(closed) as store, pytest.raises(Denied, match="may not use") as caught:
            store.names()
        assert "as root" in caught.value.hint

    assert as_nobody(look) == 0
