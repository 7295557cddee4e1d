"""Tables of the registry's metadata.

Repositories, manifests (their raw bytes are in the row), what they name, tags,
which repository may see which blob, and uploads that are under way.  Nothing here is
particular to SQLite; text sorts by bytes everywhere ("ASCIIbetical").
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import (
    BigInteger,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
)

VERSION: Final = 1
"""Of the schema.  A newer one than this is refused, an older one brought up to date."""

metadata = MetaData()


def _text(length: int) -> String:
    return String(length).with_variant(String(length, collation="C"), "postgresql")


def _owner() -> Column[int]:
    return Column(
        "repository", Integer, ForeignKey("repositories.id", ondelete="CASCADE"), nullable=False
    )


facts = Table(
    "facts",
    metadata,
    Column("name", _text(64), primary_key=True),
    Column("value", _text(255), nullable=False),
)

repositories = Table(
    "repositories",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("name", _text(255), nullable=False, unique=True),
    Column("created", Float, nullable=False),
)

manifests = Table(
    "manifests",
    metadata,
    _owner(),
    Column("digest", _text(255), nullable=False),
    Column("media_type", _text(255), nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("raw", LargeBinary, nullable=False),
    Column("subject", _text(255)),
    Column("artifact_type", _text(255), nullable=False),
    Column("created", Float, nullable=False),
    PrimaryKeyConstraint("repository", "digest"),
    Index("manifests_by_subject", "repository", "subject", "digest"),
)

children = Table(
    "children",
    metadata,
    _owner(),
    Column("manifest", _text(255), nullable=False),
    Column("child", _text(255), nullable=False),
    PrimaryKeyConstraint("repository", "manifest", "child"),
    Index("children_by_child", "repository", "child"),
)

tags = Table(
    "tags",
    metadata,
    _owner(),
    Column("name", _text(128), nullable=False),
    Column("digest", _text(255), nullable=False),
    Column("updated", Float, nullable=False),
    PrimaryKeyConstraint("repository", "name"),
    Index("tags_by_digest", "repository", "digest"),
)

blobs = Table(
    "blobs",
    metadata,
    _owner(),
    Column("digest", _text(255), nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("linked", Float, nullable=False),
    PrimaryKeyConstraint("repository", "digest"),
    Index("blobs_by_digest", "digest"),
)

uploads = Table(
    "uploads",
    metadata,
    Column("id", _text(64), primary_key=True),
    Column("repository", _text(255), nullable=False),
    Column("algorithm", _text(32), nullable=False),
    Column("touched", Float, nullable=False),
    Index("uploads_by_touch", "touched"),
)
