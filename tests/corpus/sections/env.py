"""Reference, "ENV"."""

from corpus.case import Case, Wrong

CASES = (
    Case(
        "the examples of the reference",
        r"""
FROM base
ENV MY_NAME="John Doe"
ENV MY_DOG=Rex\ The\ Dog
ENV MY_CAT=fluffy
""",
        env={"MY_NAME": "John Doe", "MY_DOG": "Rex The Dog", "MY_CAT": "fluffy"},
    ),
    Case(
        "several at one time",
        r"""
FROM base
ENV MY_NAME="John Doe" MY_DOG=Rex\ The\ Dog \
    MY_CAT=fluffy
""",
        env={"MY_NAME": "John Doe", "MY_DOG": "Rex The Dog", "MY_CAT": "fluffy"},
    ),
    Case(
        "the form without = takes the rest of the line",
        "FROM base\nENV ONE TWO= THREE=world\n",
        env={"ONE": "TWO= THREE=world"},
    ),
    Case(
        "quotes that are escaped stay",
        r"""
FROM base
ENV A=\"x\" B='"y"'
""",
        env={"A": '"x"', "B": '"y"'},
    ),
    Case(
        "they are inherited from the parent and from stages",
        "FROM parent AS one\nENV B=2\nFROM one\nENV C=$A$B\n",
        bases={"parent": "FROM base\nENV A=1\n"},
        env={"A": "1", "B": "2", "C": "12"},
    ),
    Case("the last value counts", "FROM base\nENV A=1\nENV A=2\n", env={"A": "2"}),
    Case("a value may be empty", "FROM base\nENV A=\n", env={"A": ""}),
    Case(
        "PATH has a default and may be extended",
        "FROM base\nENV PATH=/opt:$PATH\n",
        env={"PATH": "/opt:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"},
    ),
    Case(
        "steps see what is set",
        "FROM base\nENV A=1\nRUN echo $A > /out\nENV A=2\n",
        tree=r"out = 1\n",
        env={"A": "2"},
    ),
    Case(
        "a value for one command does not stay",
        "FROM base\nRUN A=1 sh -c 'echo $A' > /out\n",
        tree=r"out = 1\n",
        env={},
    ),
    Case("it needs a value", "FROM base\nENV A\n", error=Wrong("Invalid", "A", 2)),
    Case("it needs a name", "FROM base\nENV =1\n", error=Wrong("Invalid", "name", 2)),
    Case(
        "each of several needs a value",
        "FROM base\nENV A=1 B\n",
        error=Wrong("Invalid", "B", 2),
    ),
    Case(
        "a name may be a variable",
        "FROM base\nENV N=A\nENV ${N}B=1\n",
        env={"N": "A", "AB": "1"},
    ),
)
