"""Reference, ".dockerignore file"."""

from corpus.case import Case, Wrong

_FILES = """
a.txt
b.md
docs/a.txt
docs/b.md
docs/deep/a.txt
docs/deep/c
"""


def _leaves(name: str, rules: str, tree: str, files: str = _FILES) -> Case:
    """COPY docs and all the rest to / with these rules; the ignore file itself is left out."""
    return Case(
        name,
        "FROM scratch\nCOPY . /\n",
        context=files,
        blobs={".dockerignore": (rules + "\n.dockerignore\n").encode()},
        tree=tree,
    )


CASES = (
    _leaves(
        "a name leaves out what is at the root",
        "a.txt",
        "b.md\ndocs/\ndocs/a.txt\ndocs/b.md\ndocs/deep/\ndocs/deep/a.txt\ndocs/deep/c",
    ),
    _leaves("a directory is left out with all below it", "docs", "a.txt\nb.md"),
    _leaves("a slash at the end means nothing", "docs/", "a.txt\nb.md"),
    _leaves("a slash at the beginning means nothing", "/docs", "a.txt\nb.md"),
    _leaves(
        "a star is no slash",
        "*/*.txt",
        "a.txt\nb.md\ndocs/\ndocs/b.md\ndocs/deep/\ndocs/deep/a.txt\ndocs/deep/c",
    ),
    _leaves(
        "a question mark is one character",
        "?.md",
        "a.txt\ndocs/\ndocs/a.txt\ndocs/b.md\ndocs/deep/\ndocs/deep/a.txt\ndocs/deep/c",
    ),
    _leaves(
        "two stars cross directories, none too",
        "**/*.txt",
        "b.md\ndocs/\ndocs/b.md\ndocs/deep/\ndocs/deep/c",
    ),
    _leaves("a star leaves out all", "*", ""),
    _leaves(
        "an exclamation mark takes in again",
        "*.md\n!b.md",
        "a.txt\nb.md\ndocs/\ndocs/a.txt\ndocs/b.md\ndocs/deep/\ndocs/deep/a.txt\ndocs/deep/c",
    ),
    _leaves(
        "the last pattern that matches decides",
        "!b.md\n*.md",
        "a.txt\ndocs/\ndocs/a.txt\ndocs/b.md\ndocs/deep/\ndocs/deep/a.txt\ndocs/deep/c",
    ),
    _leaves(
        "something below a directory that is left out may be taken in",
        "docs\n!docs/deep/c",
        "a.txt\nb.md\ndocs/\ndocs/deep/\ndocs/deep/c",
    ),
    _leaves("all but one", "*\n!docs/b.md", "docs/\ndocs/b.md"),
    _leaves(
        "comments and empty lines are passed over",
        "# docs\n\ndocs",
        "a.txt\nb.md",
    ),
    _leaves(
        "white space around a pattern is taken off",
        "  docs  ",
        "a.txt\nb.md",
    ),
    _leaves("parts that lead nowhere are resolved", "./x/../docs", "a.txt\nb.md"),
    _leaves(
        "brackets are sets of characters",
        "[ab].*",
        "docs/\ndocs/a.txt\ndocs/b.md\ndocs/deep/\ndocs/deep/a.txt\ndocs/deep/c",
    ),
    Case(
        "what is left out cannot be copied by name",
        "FROM scratch\nCOPY secret /x\n",
        context="secret = s\n.dockerignore = secret",
        error=Wrong("NotFound", "secret", 2),
    ),
    Case(
        "what is left out cannot be added by name",
        "FROM scratch\nADD secret /x\n",
        context="secret = s\n.dockerignore = secret",
        error=Wrong("NotFound", "secret", 2),
    ),
    Case(
        "a file beside the Dockerfile with its name is taken instead",
        "FROM scratch\nCOPY . /\n",
        context="a\nb\n.dockerignore = a",
        beside="Dockerfile.dockerignore = b\\n.dockerignore",
        tree="a",
    ),
    Case(
        "it says nothing about what comes from a stage",
        "FROM base AS one\nCOPY kept /secret\nFROM scratch\nCOPY --from=one /secret /secret\n",
        context="kept = s\n.dockerignore = secret",
        tree="secret = s",
    ),
    Case(
        "an open bracket in it is an error",
        "FROM scratch\nCOPY a /\n",
        context="a\n.dockerignore = [a",
        error=Wrong("Invalid", "line 1"),
    ),
)
