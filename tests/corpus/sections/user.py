"""Reference, "USER"."""

from corpus.case import Case, Wrong

CASES = (
    Case("a name", "FROM base\nUSER app\n", config={"User": "app"}),
    Case("a name and a group", "FROM base\nUSER app:staff\n", config={"User": "app:staff"}),
    Case("numbers", "FROM base\nUSER 12:34\n", config={"User": "12:34"}),
    Case(
        "steps run as that user, with its group",
        "FROM base\nUSER app\nRUN id -u > /tmp/u && id -g > /tmp/g\n",
        tree="tmp/g 644 1000:1001 = 1001\\n\ntmp/u 644 1000:1001 = 1000\\n",
    ),
    Case(
        "a group that is given is the group",
        "FROM base\nUSER app:staff\nRUN id -g > /tmp/g\n",
        tree=r"tmp/g 644 1000:50 = 50\n",
    ),
    Case(
        "a number without an entry has the group root",
        "FROM base\nUSER 4321\nRUN id -u > /tmp/u && id -g >> /tmp/u\n",
        tree=r"tmp/u 644 4321:0 = 4321\n0\n",
    ),
    Case(
        "a name that the image does not have ends the step",
        "FROM base\nUSER nobody\nRUN true\n",
        error=Wrong("CortenError", "nobody", 3),
    ),
    Case("the last one counts", "FROM base\nUSER app\nUSER root\n", config={"User": "root"}),
    Case("it needs a user", "FROM base\nUSER\n", error=Wrong("Invalid", "USER", 2)),
    Case(
        "a user that expands to nothing is an error",
        "FROM base\nUSER $NOTHING\n",
        error=Wrong("Invalid", "USER", 2),
    ),
    Case(
        "it is inherited",
        "FROM parent\n",
        bases={"parent": "FROM base\nUSER app\n"},
        config={"User": "app"},
    ),
)
