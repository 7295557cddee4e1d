"""Reference, "Parser directives"."""

from corpus.case import Case, Wrong

CASES = (
    Case(
        "escape may be a backtick",
        r"""
# escape=`
FROM base
ENV A=1 `
    B=c:\
""",
        env={"A": "1", "B": "c:\\"},
    ),
    Case(
        "escape may be a backslash",
        r"""
# escape=\
FROM base
ENV A=1 \
    B=2
""",
        env={"A": "1", "B": "2"},
    ),
    Case(
        "a backtick escapes variables when it is the escape character",
        r"""
# escape=`
FROM base
ENV A=1
ENV B=`$A C=\$A
""",
        env={"A": "1", "B": "$A", "C": "\\1"},
    ),
    Case(
        "the escape character is nothing to RUN, except at the end of a line",
        r"""
# escape=`
FROM base
RUN echo 'a\b' `
  c > /out
""",
        tree=r"out = a\\b c\n",
    ),
    Case(
        "two escape characters at the end of a line do not continue it",
        r"""
FROM base
ENV A=a\\
ENV B=b
""",
        env={"A": "a\\", "B": "b"},
    ),
    Case(
        "another escape character is refused",
        r"""
# escape=x
FROM base
""",
        error=Wrong("Invalid", "escape", 1),
    ),
    Case(
        "a directive may not stand twice",
        r"""
# escape=\
# escape=`
FROM base
""",
        error=Wrong("Invalid", "escape", 2),
    ),
    Case(
        "a directive after a comment is a comment",
        r"""
# About my dockerfile
# escape=`
FROM base
ENV A=1 \
    B=2
""",
        env={"A": "1", "B": "2"},
    ),
    Case(
        "a directive after an unknown one is a comment",
        r"""
# unknowndirective=value
# escape=`
FROM base
ENV A=1 \
    B=2
""",
        env={"A": "1", "B": "2"},
    ),
    Case(
        "a directive after an empty line is a comment",
        r"""

# escape=`
FROM base
ENV A=1 \
    B=2
""".replace("\n\n", "\n\n\n", 1),
        env={"A": "1", "B": "2"},
    ),
    Case(
        "a directive after an instruction is a comment",
        r"""
FROM base
# escape=`
ENV A=1 \
    B=2
""",
        env={"A": "1", "B": "2"},
    ),
    Case(
        "names of directives are not case-sensitive and may stand apart",
        "#\t  eScApE = `\nFROM base\nENV A=1 `\n  B=2\n",
        env={"A": "1", "B": "2"},
    ),
    Case(
        "several directives may stand at the top",
        r"""
# syntax=docker/dockerfile:1
# escape=`
# check=skip=all
FROM base
ENV A=1 `
    B=2
""",
        env={"A": "1", "B": "2"},
    ),
)
