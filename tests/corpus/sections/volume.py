"""Reference, "VOLUME"."""

from corpus.case import Case, Wrong

CASES = (
    Case(
        "a JSON array",
        'FROM base\nVOLUME ["/a", "/b c"]\n',
        config={"Volumes": {"/a": {}, "/b c": {}}},
    ),
    Case(
        "words",
        "FROM base\nVOLUME /var/log /var/db\n",
        config={"Volumes": {"/var/log": {}, "/var/db": {}}},
    ),
    Case(
        "they are inherited",
        "FROM parent\nVOLUME /b\n",
        bases={"parent": "FROM base\nVOLUME /a\n"},
        config={"Volumes": {"/a": {}, "/b": {}}},
    ),
    Case(
        "what steps change in a volume is kept",
        'FROM base\nVOLUME /srv\nRUN echo "hello world" > /srv/greeting\n',
        tree=r"srv/greeting = hello world\n",
        config={"Volumes": {"/srv": {}}},
    ),
    Case("it makes no directory", "FROM base\nVOLUME /data\n", tree=""),
    Case("it needs a path", "FROM base\nVOLUME\n", error=Wrong("Invalid", "VOLUME", 2)),
    Case(
        "a path that expands to nothing is an error",
        "FROM base\nVOLUME $NOTHING\n",
        error=Wrong("Invalid", "VOLUME", 2),
    ),
)
