"""Reference, "COPY --parents" and "COPY --exclude"."""

from corpus.case import Case

CASES = (
    Case(
        "without --parents a later file of the name wins",
        "FROM scratch\nCOPY ./x/a.txt ./y/a.txt /no_parents/\n",
        context="x/a.txt = x\ny/a.txt = y",
        tree="no_parents/\nno_parents/a.txt = y",
    ),
    Case(
        "--parents keeps the directories of a source",
        "FROM scratch\nCOPY --parents ./x/a.txt ./y/a.txt /parents/\n",
        context="x/a.txt = x\ny/a.txt = y",
        tree="parents/\nparents/x/\nparents/x/a.txt = x\nparents/y/\nparents/y/a.txt = y",
    ),
    Case(
        "--parents keeps the modes of the directories",
        "FROM scratch\nCOPY --parents x/y/a /p/\n",
        context="x/ 711\nx/y/ 700\nx/y/a = x",
        tree="p/\np/x/ 711\np/x/y/ 700\np/x/y/a = x",
    ),
    Case(
        "--parents=false is no flag at all",
        "FROM scratch\nCOPY --parents=false x/a /p/\n",
        context="x/a = x",
        tree="p/\np/a = x",
    ),
    Case(
        "a dot and a slash in a source limit what --parents keeps",
        "FROM scratch\nCOPY --parents ./x/./y/*.txt /parents/\n",
        context="x/y/a.txt = a\nx/y/b.txt = b\nx/c.txt",
        tree="parents/\nparents/y/\nparents/y/a.txt = a\nparents/y/b.txt = b",
    ),
    Case(
        "two stars match directories, none too",
        "FROM scratch\nCOPY --parents ./src/**/*.txt /parents/\n",
        context="src/a.txt = a\nsrc/x/b.txt = b\nsrc/x/y/c.txt = c\nsrc/x/d.md",
        tree="""
parents/
parents/src/
parents/src/a.txt = a
parents/src/x/
parents/src/x/b.txt = b
parents/src/x/y/
parents/src/x/y/c.txt = c
""",
    ),
    Case(
        "--parents of a directory keeps its name",
        "FROM scratch\nCOPY --parents x/d /p/\n",
        context="x/d/a = a\nx/d/e/b = b",
        tree="p/\np/x/\np/x/d/\np/x/d/a = a\np/x/d/e/\np/x/d/e/b = b",
    ),
    Case(
        "--parents from a stage, from a dot on",
        "FROM base AS one\nFROM scratch\nCOPY --parents --from=one /srv/./sub/deep /p/\n",
        tree="p/\np/sub/\np/sub/deep = deep",
    ),
    Case(
        "--exclude leaves files out",
        "FROM scratch\nCOPY --exclude=*.txt hom* /mydir/\n",
        context="home.md\nhome.txt\nhomer\nother",
        tree="mydir/\nmydir/home.md\nmydir/homer",
    ),
    Case(
        "--exclude may stand several times",
        "FROM scratch\nCOPY --exclude=*.txt --exclude=*.md hom* /mydir/\n",
        context="home.md\nhome.txt\nhomer",
        tree="mydir/\nmydir/homer",
    ),
    Case(
        "--exclude of a directory leaves out all below it",
        "FROM scratch\nCOPY --exclude=e d /\n",
        context="d/a\nd/e/b\nd/e/f/c",
        tree="a",
    ),
    Case(
        "--exclude with two stars crosses directories",
        "FROM scratch\nCOPY --exclude=**/*.md d /\n",
        context="d/a.md\nd/b\nd/e/c.md\nd/e/d",
        tree="b\ne/\ne/d",
    ),
    Case(
        "--exclude may be a variable",
        "FROM scratch\nARG WHAT=*.md\nCOPY --exclude=$WHAT d /\n",
        context="d/a.md\nd/b",
        tree="b",
    ),
    Case(
        "--exclude is for what is copied from a stage too",
        "FROM base AS one\nFROM scratch\nCOPY --exclude=old --from=one /srv /x\n",
        tree="x/\nx/sub/\nx/sub/deep = deep",
    ),
    Case(
        "--exclude with --parents",
        "FROM scratch\nCOPY --parents --exclude=**/*.md d/e /p/\n",
        context="d/e/a.md\nd/e/b = b",
        tree="p/\np/d/\np/d/e/\np/d/e/b = b",
    ),
)
