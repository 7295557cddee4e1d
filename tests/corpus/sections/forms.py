"""Reference, "Shell and exec form"."""

from corpus.case import Case, Wrong

CASES = (
    Case(
        "the shell form goes to the shell",
        'FROM base\nRUN echo "$((1 + 1))" > /out\n',
        tree=r"out = 2\n",
    ),
    Case(
        "the exec form is run as it is",
        'FROM base\nRUN ["touch", "/$HOME", "/a b"]\n',
        tree="$HOME\na\\x20b",
    ),
    Case(
        "the exec form may name a shell",
        'FROM base\nENV A=1\nRUN [ "sh", "-c", "echo $A > /out" ]\n',
        tree=r"out = 1\n",
    ),
    Case(
        "an escaped backslash of JSON is a backslash",
        'FROM base\nCMD ["c:\\\\windows"]\n',
        config={"Cmd": ["c:\\windows"]},
    ),
    Case(
        "what is no JSON is the shell form",
        "FROM base\nCMD ['echo', 'x']\n",
        config={"Cmd": ["/bin/sh", "-c", "['echo', 'x']"]},
    ),
    Case(
        "a backslash that JSON does not know makes it the shell form",
        'FROM base\nCMD ["c:\\windows\\system32"]\n',
        config={"Cmd": ["/bin/sh", "-c", '["c:\\windows\\system32"]']},
    ),
    Case(
        "an array of other things than strings is refused",
        'FROM base\nCMD ["sleep", 1]\n',
        error=Wrong("Invalid", "strings", 2),
    ),
    Case(
        "the exec form may go over several lines",
        'FROM base\nCMD ["a", \\\n     "b"]\n',
        config={"Cmd": ["a", "b"]},
    ),
    Case(
        "a continued shell form is one line",
        "FROM base\nRUN A=1 && \\\n    echo $A > /out\n",
        tree=r"out = 1\n",
    ),
    Case(
        "the exec form does not need a shell",
        'FROM scratch\nCOPY --from=base /bin/busybox /busybox\nRUN ["/busybox", "touch", "/out"]\n',
        tree="busybox 755 = BUSYBOX\nout",
    ),
    Case(
        "the shell form needs a shell",
        "FROM scratch\nRUN true\n",
        error=Wrong("CortenError", "/bin/sh", 2),
    ),
)
