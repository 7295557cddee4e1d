"""How far a tar was read, so that an error says what its file is and where the damage lies."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from corten.archive.entry import Member, show
from corten.archive.tar_fields import BLOCK, check_sum
from corten.archive.tar_reader import TarScanner
from corten.errors import Invalid

AGAIN = "its bytes were changed or lost on the way: save or fetch it again"
"""What to do about a file that is damaged, for a hint."""
_SHOWN = 20


class TarCourse:
    """Follows the reading of the tar in the file called `what`.

    ``head`` are its first bytes, ``size`` how many there were so far or are in all; ``scanner``
    is to be read with.
    """

    def __init__(self, what: str, head: bytes = b"", size: int = 0) -> None:
        self.what = what
        self.scanner = TarScanner()
        self.head = head[:BLOCK]
        self.size = size
        self._name = b""
        self._end = 0

    def saw(self, member: Member) -> None:
        """A member was read, up to its data."""
        entry, offset, stored = member
        self._name = entry.name
        self._end = offset + -(-stored // BLOCK) * BLOCK

    def took(self, data: bytes) -> None:
        """More bytes came."""
        if len(self.head) < BLOCK:
            self.head += data[: BLOCK - len(self.head)]
        self.size += len(data)

    @contextmanager
    def explaining(self, instead: str) -> Iterator[None]:
        """Errors of the scanner within name the file, the member and the byte.

        `instead` is the hint for a file that is something else than a tar.
        """
        try:
            yield
        except Invalid as error:
            if error.message.startswith("malformed tar: "):
                self._explain(error, instead)
            raise

    def _explain(self, error: Invalid, instead: str) -> None:
        for member in self.scanner.before[-1:]:
            self.saw(member)
        reason = error.message.removeprefix("malformed tar: ")
        if not self._name and not _is_header(self.head):
            begin = show(self.head[:_SHOWN].partition(b"\0")[0])
            long = f"has {self.size} bytes and " if self.size < BLOCK else ""
            message = f"{self.what} is no tar archive: it {long}begins with '{begin}'"
            hint = instead
        elif "ends in the middle" in reason:
            message = f"{self.what} is cut short: it ends at byte {self.size}"
            if self._end > self.size:
                message += f", but {show(self._name)} in it would end at byte {self._end}"
            hint = AGAIN
        else:
            place = f" behind {show(self._name)}" if self._name else ""
            message = f"{self.what} is a malformed tar: {reason} (byte {self.scanner.fault}{place})"
            hint = AGAIN
        error.message, error.hint = message, hint
        error.args = (message,)


def _is_header(block: bytes) -> bool:
    """Whether a tar may begin so, whole or damaged."""
    if block[257:262] == b"ustar" or not block.strip(b"\0"):
        return True
    try:
        check_sum(block)
    except (Invalid, IndexError):
        return False
    return True
