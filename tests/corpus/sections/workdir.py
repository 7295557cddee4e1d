"""Reference, "WORKDIR"."""

from corpus.case import Case, Wrong

CASES = (
    Case(
        "it is made if it is not there",
        "FROM scratch\nWORKDIR /a/b\n",
        tree="a/\na/b/",
        config={"WorkingDir": "/a/b"},
    ),
    Case(
        "relative ones follow one another",
        "FROM base\nWORKDIR /a\nWORKDIR b\nWORKDIR c\nRUN pwd > /out\n",
        tree="a/\na/b/\na/b/c/\nout = /a/b/c\\n",
        config={"WorkingDir": "/a/b/c"},
    ),
    Case(
        "variables are replaced",
        "FROM scratch\nENV DIRPATH=/path\nWORKDIR $DIRPATH/x\n",
        tree="path/\npath/x/",
        config={"WorkingDir": "/path/x"},
    ),
    Case(
        "a directory that is there stays as it is",
        "FROM base\nWORKDIR /tmp\n",
        tree="",
        config={"WorkingDir": "/tmp"},
    ),
    Case(
        "dots are resolved",
        "FROM scratch\nWORKDIR /a/./b/../c/\n",
        tree="a/\na/c/",
        config={"WorkingDir": "/a/c"},
    ),
    Case(
        "it is the default of the base image",
        "FROM parent\nWORKDIR sub\n",
        bases={"parent": "FROM base\nWORKDIR /srv\n"},
        tree="",
        config={"WorkingDir": "/srv/sub"},
    ),
    Case("it is / if nothing sets it", "FROM scratch\nCOPY a .\n", context="a = x", tree="a = x"),
    Case(
        "a link in its path is followed in the image",
        "FROM base\nWORKDIR /link/new\n",
        tree="srv/new/",
        config={"WorkingDir": "/link/new"},
    ),
    Case(
        "a file is no working directory",
        "FROM base\nWORKDIR /srv/old\n",
        error=Wrong("CortenError", "/srv/old", 2),
    ),
    Case("it needs a path", "FROM base\nWORKDIR\n", error=Wrong("Invalid", "WORKDIR", 2)),
    Case(
        "a path may have spaces",
        "FROM scratch\nWORKDIR /a b\n",
        tree="a\\x20b/",
        config={"WorkingDir": "/a b"},
    ),
)
