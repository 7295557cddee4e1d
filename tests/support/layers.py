"""Generated layers: what they hold hides, links and replaces what lower ones have."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import strategies as st

from corten.archive.entry import Entry
from support.tars import directory, file, link, symlink

NS = 1_234_567_890_123_456_789
Members = Sequence[Entry | tuple[Entry, bytes]]


def many(prefix: bytes, count: int) -> Members:
    """So many files that this layer is the largest."""
    return [file(b"%b/f%d" % (prefix, i), b"%d" % i) for i in range(count)]


NAMES = st.sampled_from([b"a", b"b", b"c", b"dd"])
PATHS = st.lists(NAMES, min_size=1, max_size=3).map(b"/".join)
MODES = st.sampled_from([0o644, 0o755, 0o4711, 0o1777, 0])
TIMES = st.sampled_from([0, 1, NS, -1_500_000_000])
XATTRS = st.sampled_from([{}, {}, {"user.a": b"1"}, {"user.b": b"v" * 700, "user.c": b""}])
METADATA = st.fixed_dictionaries(
    {
        "mode": MODES,
        "uid": st.sampled_from([0, 70_000]),
        "mtime_ns": TIMES,
        "xattrs": XATTRS,
    }
)


def _member(kind: str, path: bytes, other: bytes, metadata: dict[str, object]) -> object:
    head, slash, base = path.rpartition(b"/")
    match kind:
        case "directory":
            return directory(path, **metadata)  # type: ignore[arg-type]
        case "symlink":
            return symlink(path, other)
        case "link":
            return link(path, other)
        case "whiteout":
            return file(head + slash + b".wh." + base)
        case "opaque":
            return file(path + b"/.wh..wh..opq")
    return file(path, other * 200, **metadata)


MEMBERS = st.builds(
    _member,
    st.sampled_from(
        ["file", "file", "file", "directory", "symlink", "link", "link", "whiteout", "opaque"]
    ),
    PATHS,
    PATHS,
    METADATA,
)
LAYERS = st.lists(st.lists(MEMBERS, max_size=8), min_size=2, max_size=5)
"""Two to five layers, lowest first; some members may be refused by the layers."""
