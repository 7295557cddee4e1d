"""What `corten images` shows, read straight from the catalog.

The fast path: it imports nothing of corten and nothing heavy.
"""

from __future__ import annotations

import os
import sqlite3
from typing import NamedTuple

CATALOG = "catalog.db"
"""The catalog's file under the root."""

_HUB = "docker.io/"
_LIBRARY = "docker.io/library/"

# A root without a name is dangling, unless the same image has a name by another root.
_QUERY = """
SELECT n.name, i.image_id, i.digest, i.created, i.added, i.layers_size,
       coalesce((SELECT r.digest FROM repo_digests r WHERE r.image_id = i.image_id
                 AND r.repository = n.repository AND r.digest = i.digest),
                (SELECT max(r.digest) FROM repo_digests r WHERE r.image_id = i.image_id
                 AND r.repository = n.repository), '')
FROM names n JOIN images i ON i.digest = n.digest
UNION ALL
SELECT '', i.image_id, i.digest, i.created, max(i.added), i.layers_size, ''
FROM images i
WHERE i.image_id NOT IN (SELECT j.image_id FROM images j JOIN names m ON m.digest = j.digest)
GROUP BY i.image_id
ORDER BY 5 DESC, 1
"""


class ImageRow(NamedTuple):
    """A line of the list.  An image with two names has two."""

    name: str
    """The canonical name, empty for a dangling image."""
    image_id: str
    """The digest of the configuration."""
    digest: str
    """The digest of the manifest or index."""
    created: str
    """RFC 3339, or empty."""
    added: float
    """When it came into this store, seconds since 1970."""
    size: int
    """Bytes of the layers' tars."""
    repo_digest: str = ""
    """The digest that the name's repository knows it by, if any."""

    @property
    def repository(self) -> str:
        """The familiar repository name (``debian``, ``quay.io/x/y``), or ``<none>``."""
        name = self.name.partition("@")[0]
        if not name:
            return "<none>"
        # Short only if it stays the same name: docker.io/library/a/b is not a/b, and in
        # docker.io/a.b/c the first component would be taken for a host.
        if name.startswith(_LIBRARY) and "/" not in name[len(_LIBRARY) :]:
            name = name[len(_LIBRARY) :]
        elif name.startswith(_HUB):
            short = name[len(_HUB) :]
            head = short.partition("/")[0]
            name = name if "." in head or head == "localhost" else short
        path, _, tag = name.rpartition(":")
        return path if path and "/" not in tag else name

    @property
    def tag(self) -> str:
        """The tag, or ``<none>``."""
        tag = self.name.partition("@")[0].rpartition(":")[2]
        return tag if tag and "/" not in tag else "<none>"


def image_rows(root: str | os.PathLike[str]) -> list[ImageRow]:
    """All images of the store under `root`, the latest first.

    Raises: sqlite3.Error: the catalog cannot be read; PermissionError: by this user.
    """
    # Without pathlib, which costs as much as SQLite.
    file = os.path.abspath(os.path.join(root, CATALOG))  # noqa: PTH100, PTH118
    try:
        os.stat(file)  # noqa: PTH116
    except FileNotFoundError:
        return []
    for special in "%?#":  # the percent sign first
        file = file.replace(special, f"%{ord(special):02x}")
    connection = sqlite3.connect(f"file://{file}?mode=ro", uri=True, timeout=10.0)
    try:
        return [ImageRow(*row) for row in connection.execute(_QUERY)]
    finally:
        connection.close()
