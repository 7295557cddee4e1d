"""Reference, "ADD": from the context, and local archives."""

from corpus.archives import tar
from corpus.case import Case, Wrong

_ARCHIVE = "d/ 750\nd/f 640 7:8 @1000000005 = x\nd/l -> f\ntop = t"
_UNPACKED = """
into/
into/d/ 750
into/d/f 640 7:8 @1000000005 = x
into/d/l -> f
into/top = t
"""


def _unpacks(compression: str) -> Case:
    return Case(
        f"a local {compression or 'tar'} archive is unpacked".replace("tar archive", "archive"),
        "FROM scratch\nADD archive /into/\n",
        blobs={"archive": tar(_ARCHIVE, compression)},
        tree=_UNPACKED,
    )


CASES = (
    Case(
        "a file keeps its mode and time, and is root's",
        "FROM scratch\nADD a /a\n",
        context="a 640 5:6 @1000000001 = x",
        tree="a 640 @1000000001 = x",
    ),
    Case(
        "several files go into a directory",
        "FROM base\nADD file1.txt file2.txt /usr/src/things/\n",
        context="file1.txt = 1\nfile2.txt = 2",
        tree="""
usr/
usr/src/
usr/src/things/
usr/src/things/file1.txt = 1
usr/src/things/file2.txt = 2
""",
    ),
    Case(
        "several files need a directory as destination",
        "FROM base\nADD a b /c\n",
        context="a\nb",
        error=Wrong("Invalid", "/c", 2),
    ),
    Case(
        "of a directory the content is added",
        "FROM scratch\nADD d /x\n",
        context="d/a 600 = x\nd/e/ 700\nd/e/f = y\nd/l -> a",
        tree="x/\nx/a 600 = x\nx/e/ 700\nx/e/f = y\nx/l -> a",
    ),
    Case(
        "the JSON form is for paths with white space",
        'FROM scratch\nADD ["a b", "/c d/"]\n',
        context="a\\x20b = x",
        tree="c\\x20d/\nc\\x20d/a\\x20b = x",
    ),
    Case(
        "wildcards match",
        "FROM scratch\nADD *.png index.?s /dest/\n",
        context="a.png\nb.png\nc.gif\nindex.js\nindex.html",
        tree="dest/\ndest/a.png\ndest/b.png\ndest/index.js",
    ),
    Case(
        "brackets in names are escaped by brackets",
        "FROM scratch\nADD arr[[]0].txt /dest/\n",
        context="arr[0].txt = x\narr0.txt",
        tree="dest/\ndest/arr[0].txt = x",
    ),
    Case(
        "a path that climbs out of the context stays in it",
        "FROM scratch\nADD ../a /a\n",
        context="a = x",
        tree="a = x",
    ),
    _unpacks(""),
    _unpacks("gz"),
    _unpacks("bz2"),
    _unpacks("xz"),
    _unpacks("zst"),
    Case(
        "an archive is merged with what is there, and wins",
        "FROM base\nADD archive /\n",
        blobs={"archive": tar("srv/old = new\nsrv/more = m", "gz")},
        tree="srv/more = m\nsrv/old = new",
    ),
    Case(
        "an archive's name says nothing",
        "FROM scratch\nADD empty.tar.gz /\n",
        context="empty.tar.gz",
        tree="empty.tar.gz",
    ),
    Case(
        "COPY does not unpack",
        "FROM scratch\nCOPY archive /archive\nADD archive /d\n",
        blobs={"archive": b"no archive"},
        tree="archive = no archive\nd = no archive",
    ),
    Case(
        "--unpack=false takes an archive as it is",
        "FROM scratch\nADD --unpack=false text.tar /t\n",
        blobs={"text.tar": tar("a")},
        tree="t = BLOB:text.tar",
    ),
    Case(
        "--unpack=true is the default for local archives",
        "FROM scratch\nADD --unpack=true archive /into/\n",
        blobs={"archive": tar(_ARCHIVE, "gz")},
        tree=_UNPACKED,
    ),
    Case(
        "--chown gives what is unpacked to somebody",
        "FROM scratch\nADD --chown=3:4 archive /into/\n",
        blobs={"archive": tar("a 600 7:8 = x", "gz")},
        tree="into/ 755 3:4\ninto/a 600 3:4 = x",
    ),
    Case(
        "--chmod and --chown are COPY's",
        "FROM scratch\nADD --chown=3:4 --chmod=0600 a /a\n",
        context="a = x",
        tree="a 600 3:4 = x",
    ),
    Case(
        "--exclude is COPY's",
        "FROM scratch\nADD --exclude=*.md d /\n",
        context="d/a\nd/b.md",
        tree="a",
    ),
    Case(
        "--link is COPY's",
        "FROM base\nADD --link a /link/a\n",
        context="a = x",
        tree="link/\nlink/a = x",
    ),
    Case(
        "a source that is not there is an error",
        "FROM scratch\nADD missing /x\n",
        error=Wrong("NotFound", "missing", 2),
    ),
    Case(
        "a directory onto a file is an error",
        "FROM base\nADD d /srv/old\n",
        context="d/a",
        error=Wrong("Invalid", "/srv/old", 2),
    ),
    Case("it needs a destination", "FROM base\nADD a\n", error=Wrong("Invalid", "ADD", 2)),
    Case(
        "--from is no flag of it",
        "FROM base AS one\nFROM base\nADD --from=one /a /a\n",
        error=Wrong("Invalid", "from", 3),
    ),
)
