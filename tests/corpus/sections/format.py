"""Reference, "Format": comments, white space, continuation lines, what a file must begin with."""

from corpus.case import Case, Wrong

CASES = (
    Case(
        "instructions are not case-sensitive",
        r"""
from base
eNv A=1
copy a /a
""",
        context="a = x",
        tree="a = x",
        env={"A": "1"},
    ),
    Case(
        "a line that begins with # is a comment",
        r"""
# COPY missing /
FROM base
# COPY missing /
ENV A=1
""",
        env={"A": "1"},
    ),
    Case(
        "# elsewhere in a line is an argument",
        r"""
FROM base
ENV A="some # of" B=#c
""",
        env={"A": "some # of", "B": "#c"},
    ),
    Case(
        "comments inside a continued instruction are removed",
        r"""
FROM base
RUN echo hello \
# comment
world > /out
""",
        tree=r"out = hello world\n",
    ),
    Case(
        "indented comments inside a continued instruction are removed",
        r"""
FROM base
RUN echo hello \
      # comment
world > /out
""",
        tree=r"out = hello world\n",
    ),
    Case(
        "comments do not support continuation characters",
        r"""
FROM base
# comment \
ENV A=1
""",
        env={"A": "1"},
    ),
    Case(
        "white space before comments and instructions is ignored",
        r"""
        # this is a comment-line
    FROM base
	ENV A=1
""",
        env={"A": "1"},
    ),
    Case(
        "white space in arguments is kept",
        r"""
FROM base
RUN echo "\
     hello\
     world" > /out
""",
        tree=r"out =      hello     world\n",
    ),
    Case(
        "an empty line inside a continued instruction is passed over",
        r"""
FROM base
ENV A=1 \

    B=2
""",
        env={"A": "1", "B": "2"},
    ),
    Case(
        "white space after a continuation character is passed over",
        "FROM base\nENV A=1 \\  \n    B=2\n",
        env={"A": "1", "B": "2"},
    ),
    Case(
        "lines may end in CR LF",
        "FROM base\r\nENV A=1 \\\r\n  B=2\r\nCOPY a /a\r\n",
        context="a = x",
        tree="a = x",
        env={"A": "1", "B": "2"},
    ),
    Case(
        "a byte order mark is passed over",
        "\ufeffFROM base\nENV A=1\n",
        env={"A": "1"},
    ),
    Case(
        "the last line needs no line feed",
        "FROM base\nENV A=1",
        env={"A": "1"},
    ),
    Case(
        "text may be of any language",
        "FROM base\nLABEL grüße=한국어\n",
        config={"Labels": {"grüße": "한국어"}},
    ),
    Case(
        "an empty file is refused",
        "",
        error=Wrong("Invalid", "FROM"),
    ),
    Case(
        "a file of comments is refused",
        "# nothing\n",
        error=Wrong("Invalid", "FROM"),
    ),
    Case(
        "a file must begin with FROM",
        r"""
# comment
RUN true
FROM base
""",
        error=Wrong("Invalid", "before the first FROM", 2),
    ),
    Case(
        "only ARG may stand before FROM",
        r"""
ARG A=1
ENV B=2
FROM base
""",
        error=Wrong("Invalid", "ENV", 2),
    ),
    Case(
        "an unknown instruction is refused",
        r"""
FROM base
COPPY a /a
""",
        error=Wrong("Invalid", "COPY", 2),
    ),
    Case(
        "an error names the first line of a continued instruction",
        r"""
FROM base

ENV A=1 \
    B
""",
        error=Wrong("Invalid", "B", 3),
    ),
)
