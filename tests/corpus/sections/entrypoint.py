"""Reference, "ENTRYPOINT"."""

from corpus.case import Case, Wrong

CASES = (
    Case(
        "exec form", 'FROM base\nENTRYPOINT ["top", "-b"]\n', config={"Entrypoint": ["top", "-b"]}
    ),
    Case(
        "shell form",
        "FROM base\nENTRYPOINT exec top -b\n",
        config={"Entrypoint": ["/bin/sh", "-c", "exec top -b"]},
    ),
    Case(
        "the last one counts",
        'FROM base\nENTRYPOINT a\nENTRYPOINT ["b"]\n',
        config={"Entrypoint": ["b"]},
    ),
    Case(
        "it resets the CMD of the base image",
        'FROM parent\nENTRYPOINT ["e"]\n',
        bases={"parent": 'FROM base\nCMD ["c"]\n'},
        config={"Entrypoint": ["e"], "Cmd": None},
    ),
    Case(
        "it keeps the CMD of its own Dockerfile",
        'FROM parent\nCMD ["d"]\nENTRYPOINT ["e"]\n',
        bases={"parent": 'FROM base\nCMD ["c"]\n'},
        config={"Entrypoint": ["e"], "Cmd": ["d"]},
    ),
    Case(
        "CMD keeps the ENTRYPOINT of the base image",
        'FROM parent\nCMD ["c"]\n',
        bases={"parent": 'FROM base\nENTRYPOINT ["e"]\n'},
        config={"Entrypoint": ["e"], "Cmd": ["c"]},
    ),
    Case(
        "an empty array clears it",
        "FROM parent\nENTRYPOINT []\n",
        bases={"parent": 'FROM base\nENTRYPOINT ["e"]\n'},
        config={"Entrypoint": []},
    ),
    Case("it needs a command", "FROM base\nENTRYPOINT\n", error=Wrong("Invalid", "ENTRYPOINT", 2)),
)
