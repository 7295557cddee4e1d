"""Reference, "SHELL"."""

from corpus.case import Case, Wrong

CASES = (
    Case(
        "it runs the shell form of what follows",
        'FROM base\nRUN echo "$0" > /a\nSHELL ["/bin/busybox", "sh", "-xc"]\nRUN echo "$-" > /b\n',
        tree="a = /bin/sh\\n\nb = xc\\n",
        config={"Shell": ["/bin/busybox", "sh", "-xc"]},
    ),
    Case(
        "it is in CMD and ENTRYPOINT",
        'FROM base\nSHELL ["/bin/ash", "-ec"]\nCMD a\nENTRYPOINT b\n',
        config={"Cmd": ["/bin/ash", "-ec", "a"], "Entrypoint": ["/bin/ash", "-ec", "b"]},
    ),
    Case(
        "each overrides the ones before",
        'FROM base\nSHELL ["/x"]\nCMD a\nSHELL ["/y", "-c"]\nENTRYPOINT b\n',
        config={"Cmd": ["/x", "a"], "Entrypoint": ["/y", "-c", "b"]},
    ),
    Case(
        "it says nothing about the exec form",
        'FROM base\nSHELL ["/none"]\nRUN ["touch", "/a"]\n',
        tree="a",
    ),
    Case(
        "it is inherited",
        "FROM parent\nCMD a\n",
        bases={"parent": 'FROM base\nSHELL ["/x", "-c"]\n'},
        config={"Cmd": ["/x", "-c", "a"]},
    ),
    Case(
        "it is for here-documents too",
        'FROM base\nSHELL ["/bin/sh", "-ec"]\nRUN <<EOF\nfalse\ntrue\nEOF\n',
        error=Wrong("StepFailed", "1", 3),
    ),
    Case("it must be JSON", "FROM base\nSHELL /bin/sh -c\n", error=Wrong("Invalid", "JSON", 2)),
    Case("it must not be empty", "FROM base\nSHELL []\n", error=Wrong("Invalid", "SHELL", 2)),
)
