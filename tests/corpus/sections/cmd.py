"""Reference, "CMD"."""

from corpus.case import Case

CASES = (
    Case("exec form", 'FROM base\nCMD ["a", "b c"]\n', config={"Cmd": ["a", "b c"]}),
    Case("shell form", "FROM base\nCMD a b\n", config={"Cmd": ["/bin/sh", "-c", "a b"]}),
    Case(
        "parameters of ENTRYPOINT",
        'FROM base\nENTRYPOINT ["e"]\nCMD ["p"]\n',
        config={"Entrypoint": ["e"], "Cmd": ["p"]},
    ),
    Case("the last one counts", 'FROM base\nCMD a\nCMD ["b"]\n', config={"Cmd": ["b"]}),
    Case(
        "it runs nothing at build time",
        "FROM base\nCMD touch /x\n",
        tree="",
    ),
    Case(
        "it is inherited",
        "FROM parent\n",
        bases={"parent": 'FROM base\nCMD ["a"]\n'},
        config={"Cmd": ["a"]},
    ),
    Case("an empty array clears it", "FROM base\nCMD a\nCMD []\n", config={"Cmd": []}),
    Case(
        "quotes and spaces of the shell form stay",
        "FROM base\nCMD echo  \"a  b\" 'c'\n",
        config={"Cmd": ["/bin/sh", "-c", "echo  \"a  b\" 'c'"]},
    ),
)
