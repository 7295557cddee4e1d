"""Archives that cases of ADD unpack, made from listings."""

from __future__ import annotations

import io
import tarfile
from typing import Any

from corpus.listing import parse


def tar(listing: str, compression: str = "") -> bytes:
    """A tar of the listing's things; `compression` is gz, bz2, xz or zst."""
    out = io.BytesIO()
    mode: Any = "w" if compression in ("", "zst") else f"w:{compression}"
    with tarfile.open(fileobj=out, mode=mode) as archive:
        for path, thing in parse(listing).items():
            member = tarfile.TarInfo(path)
            member.mode = thing.mode
            member.uid, member.gid = map(int, thing.owner.split(":"))
            member.mtime = thing.seconds or 1_000_000_000
            if thing.kind == "directory":
                member.type = tarfile.DIRTYPE
            elif thing.kind == "link":
                member.type, member.linkname = tarfile.SYMTYPE, thing.target
            member.size = len(thing.content)
            archive.addfile(member, io.BytesIO(thing.content))
    if compression == "zst":
        import zstandard

        return zstandard.compress(out.getvalue())
    return out.getvalue()
