"""Reference, "MAINTAINER"."""

from corpus.case import Case, Wrong

CASES = (
    Case(
        "it is the image's author",
        "FROM base\nMAINTAINER Sven <sven@example.test>\n",
        author="Sven <sven@example.test>",
    ),
    Case("the last one counts", "FROM base\nMAINTAINER a\nMAINTAINER b\n", author="b"),
    Case("it needs a name", "FROM base\nMAINTAINER\n", error=Wrong("Invalid", "MAINTAINER", 2)),
)
