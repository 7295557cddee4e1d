"""Reference, "ADD": files from a URL, Git repositories, --checksum, --unpack, --keep-git-dir."""

from hashlib import sha256

from corpus.case import Case, Wrong
from corpus.server import MODIFIED

_DIGEST = "sha256:" + sha256(b"served").hexdigest()

CASES = (
    Case(
        "a file from a URL is 600 and has the time of Last-Modified",
        "FROM scratch\nADD http://SERVER/file /x\n",
        tree=f"x 600 @{MODIFIED} = served",
    ),
    Case(
        "a destination that ends in a slash takes the name from the URL",
        "FROM scratch\nADD http://SERVER/dir/named /d/\n",
        tree="d/\nd/named 600 = served too",
    ),
    Case(
        "a query is no part of the name",
        "FROM scratch\nADD http://SERVER/file?a=b/c /d/\n",
        tree="d/\nd/file 600 = served",
    ),
    Case(
        "a URL without a path has no name to take",
        "FROM scratch\nADD http://SERVER /d/\n",
        error=Wrong("Invalid", "name", 2),
    ),
    Case(
        "a URL may hold variables",
        "FROM scratch\nARG NAME=file\nADD http://SERVER/$NAME /x\n",
        tree="x 600 = served",
    ),
    Case(
        "files and URLs go into one directory",
        "FROM scratch\nADD a http://SERVER/file /d/\n",
        context="a = x",
        tree="d/\nd/a = x\nd/file 600 = served",
    ),
    Case(
        "--chmod and --chown are for URLs too",
        "FROM scratch\nADD --chmod=755 --chown=1:2 http://SERVER/file /x\n",
        tree="x 755 1:2 = served",
    ),
    Case(
        "a URL that is not there is an error",
        "FROM scratch\nADD http://SERVER/missing /x\n",
        error=Wrong("NotFound", "missing", 2),
    ),
    Case(
        "COPY takes no URLs",
        "FROM scratch\nCOPY http://SERVER/file /x\n",
        error=Wrong("Invalid", "COPY", 2),
    ),
    Case(
        "a remote archive is not unpacked",
        "FROM base AS one\nADD http://SERVER/archive.tar.gz /a\n"
        "RUN tar -xzf /a -C /srv\nFROM scratch\nCOPY --from=one /srv/in /\n",
        tree="tar = unpacked",
    ),
    Case(
        "--unpack=true unpacks a remote archive",
        "FROM scratch\nADD --unpack=true http://SERVER/archive.tar.gz /d\n",
        tree="d/\nd/in/\nd/in/tar = unpacked",
    ),
    Case(
        "--checksum that is right",
        f"FROM scratch\nADD --checksum={_DIGEST} http://SERVER/file /x\n",
        tree="x 600 = served",
    ),
    Case(
        "--checksum that is wrong is an error",
        f"FROM scratch\nADD --checksum=sha256:{'0' * 64} http://SERVER/file /x\n",
        error=Wrong("Corrupt", "000000", 2),
    ),
    Case(
        "--checksum may be a variable",
        f"FROM scratch\nARG SUM={_DIGEST}\nADD --checksum=$SUM http://SERVER/file /x\n",
        tree="x 600 = served",
    ),
    Case(
        "--checksum of another algorithm is an error",
        f"FROM scratch\nADD --checksum=md5:{'0' * 32} http://SERVER/file /x\n",
        error=Wrong("Invalid", "sha256", 2),
    ),
    Case(
        "--checksum of a local file is an error",
        f"FROM scratch\nADD --checksum={_DIGEST} a /x\n",
        context="a = served",
        error=Wrong("Invalid", "checksum", 2),
    ),
    Case(
        "a Git repository is cloned, without .git",
        "FROM scratch\nADD http://SERVER/repo.git /d\n",
        tree=r"""
d/
d/README = read me
d/docs/
d/docs/guide = second
d/docs/more/
d/docs/more/x = x
d/run 755 = #!/bin/sh\n
""",
    ),
    Case(
        "a fragment names a tag and a directory",
        "FROM scratch\nADD http://SERVER/repo.git#v1:docs /d\n",
        tree="d/\nd/guide = first\nd/more/\nd/more/x = x",
    ),
    Case(
        "a fragment may name a commit",
        "FROM scratch\nADD http://SERVER/repo.git#COMMIT:docs/more /d\n",
        tree="d/\nd/x = x",
    ),
    Case(
        "a fragment may name a directory alone",
        "FROM scratch\nADD http://SERVER/repo.git#:docs/more /d\n",
        tree="d/\nd/x = x",
    ),
    Case(
        "--keep-git-dir keeps .git",
        "FROM base AS one\nADD --keep-git-dir=true http://SERVER/repo.git /d\n"
        "RUN ls -d /d/.git /d/.git/HEAD > /out\nFROM scratch\nCOPY --from=one /out /\n",
        tree=r"out = /d/.git\n/d/.git/HEAD\n",
    ),
    Case(
        "--checksum of a repository is its commit, or the beginning of it",
        "FROM scratch\nADD --checksum=COMMIT http://SERVER/repo.git#main:docs/more /d\n",
        tree="d/\nd/x = x",
    ),
    Case(
        "--checksum of another commit is an error",
        f"FROM scratch\nADD --checksum={'0' * 40} http://SERVER/repo.git /d\n",
        error=Wrong("Corrupt", "000000", 2),
    ),
    Case(
        "a reference that the repository does not have is an error",
        "FROM scratch\nADD http://SERVER/repo.git#unknown /d\n",
        error=Wrong("NotFound", "unknown", 2),
    ),
    Case(
        "a directory that the repository does not have is an error",
        "FROM scratch\nADD http://SERVER/repo.git#main:none /d\n",
        error=Wrong("NotFound", "none", 2),
    ),
)
