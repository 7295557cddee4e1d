"""Reference, "Environment replacement"."""

from corpus.case import Case, Wrong

_VARIABLES = "FROM base\nENV set=value empty= str=foobarbaz\n"
_SHOWN = {"set": "value", "empty": "", "str": "foobarbaz"}


def _gives(name: str, word: str, value: str) -> Case:
    """ENV got=WORD with some variables."""
    return Case(name, f"{_VARIABLES}ENV got={word}\n", env={**_SHOWN, "got": value})


CASES = (
    _gives("a variable without braces", "$set", "value"),
    _gives("a variable in braces", "${set}_bar", "value_bar"),
    _gives("an unset variable is nothing", "a${unset}b", "ab"),
    _gives("a minus with a colon gives the word for unset", "${unset:-word}", "word"),
    _gives("a minus with a colon gives the word for empty", "${empty:-word}", "word"),
    _gives("a minus with a colon gives a value as it is", "${set:-word}", "value"),
    _gives("a minus gives the word for unset", "${unset-word}", "word"),
    _gives("a minus keeps an empty value", "[${empty-word}]", "[]"),
    _gives("a plus with a colon gives the word for a value", "${set:+word}", "word"),
    _gives("a plus with a colon gives nothing for empty", "[${empty:+word}]", "[]"),
    _gives("a plus with a colon gives nothing for unset", "[${unset:+word}]", "[]"),
    _gives("a plus gives the word for empty", "${empty+word}", "word"),
    _gives("a plus gives nothing for unset", "[${unset+word}]", "[]"),
    _gives("a word may hold variables", "${unset:-${empty:-$set}}", "value"),
    _gives("a word may hold quoted spaces", '"${unset:-two words}"', "two words"),
    _gives("# takes the shortest match from the start", "${str#f*b}", "arbaz"),
    _gives("## takes the longest match from the start", "${str##f*b}", "az"),
    _gives("% takes the shortest match from the end", "${str%b*}", "foobar"),
    _gives("%% takes the longest match from the end", "${str%%b*}", "foo"),
    _gives("a slash replaces the first match", "${str/ba/fo}", "fooforbaz"),
    _gives("two slashes replace all matches", "${str//ba/fo}", "fooforfoz"),
    _gives("? in a pattern is one character", "${str#?}", "oobarbaz"),
    _gives("an escaped variable stays", r"\$set", "$set"),
    _gives("an escaped variable in braces stays", r"\${set}", "${set}"),
    _gives("single quotes keep variables", "'$set'", "$set"),
    _gives("double quotes do not keep variables", '"$set"', "value"),
    _gives("what is escaped in double quotes stays", r'"\$set \"x\""', '$set "x"'),
    Case(
        "an escaped star in a pattern is a star",
        r"""
FROM base
ENV A=a*b*c
ENV got=${A#*\*}
""",
        env={"A": "a*b*c", "got": "b*c"},
    ),
    Case(
        "a required variable that is not set is an error with its message",
        r"""
FROM base
ENV A="${unset:?give it}"
""",
        error=Wrong("Invalid", "give it", 2),
    ),
    Case(
        "an open brace is an error",
        r"""
FROM base
ENV A=${set
""",
        error=Wrong("Invalid", "}", 2),
    ),
    Case(
        "the example of the reference",
        r"""
FROM base
ENV FOO=/bar
WORKDIR ${FOO}
ADD . $FOO
COPY \$FOO /quux
""",
        context="$FOO = x",
        tree=r"""
bar/
bar/$FOO = x
quux = x
""",
        config={"WorkingDir": "/bar"},
    ),
    Case(
        "one instruction sees the values from before it",
        r"""
FROM base
ENV abc=hello
ENV abc=bye def=$abc
ENV ghi=$abc
""",
        env={"abc": "bye", "def": "hello", "ghi": "bye"},
    ),
    Case(
        "variables are replaced in EXPOSE, LABEL, STOPSIGNAL, USER, VOLUME and WORKDIR",
        r"""
FROM base
ENV N=80 S=TERM W=work
EXPOSE $N/tcp
LABEL l-$N=$W
STOPSIGNAL SIG$S
USER $N
VOLUME /$W
WORKDIR /${W}
""",
        config={
            "ExposedPorts": {"80/tcp": {}},
            "Labels": {"l-80": "work"},
            "StopSignal": "SIGTERM",
            "User": "80",
            "Volumes": {"/work": {}},
            "WorkingDir": "/work",
        },
    ),
    Case(
        "variables are replaced in FROM",
        r"""
ARG NAME=base
FROM ${NAME}
ENV A=1
""",
        env={"A": "1"},
        tree="",
    ),
    Case(
        "the shell replaces variables of RUN",
        r"""
FROM base
ENV A=env
RUN A=shell; echo $A > /out
""",
        tree=r"out = shell\n",
    ),
    Case(
        "variables of CMD and ENTRYPOINT stay as they are",
        r"""
FROM base
ENV A=1
ENTRYPOINT echo $A
CMD ["$A"]
""",
        config={"Entrypoint": ["/bin/sh", "-c", "echo $A"], "Cmd": ["$A"]},
    ),
    Case(
        "ONBUILD keeps variables for the build that it triggers in",
        r"""
FROM base
ENV A=1
ONBUILD ENV B=$A
""",
        config={"OnBuild": ["ENV B=$A"]},
    ),
)
