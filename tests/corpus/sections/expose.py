"""Reference, "EXPOSE"."""

from corpus.case import Case, Wrong

CASES = (
    Case("tcp is the default", "FROM base\nEXPOSE 80\n", config={"ExposedPorts": {"80/tcp": {}}}),
    Case("udp", "FROM base\nEXPOSE 80/udp\n", config={"ExposedPorts": {"80/udp": {}}}),
    Case(
        "both protocols on two lines",
        "FROM base\nEXPOSE 80/tcp\nEXPOSE 80/udp\n",
        config={"ExposedPorts": {"80/tcp": {}, "80/udp": {}}},
    ),
    Case(
        "several on one line",
        "FROM base\nEXPOSE 80 53/udp\n",
        config={"ExposedPorts": {"53/udp": {}, "80/tcp": {}}},
    ),
    Case(
        "a range is each of its ports",
        "FROM base\nEXPOSE 8000-8002\n",
        config={"ExposedPorts": {"8000/tcp": {}, "8001/tcp": {}, "8002/tcp": {}}},
    ),
    Case(
        "they are inherited",
        "FROM parent\nEXPOSE 81\n",
        bases={"parent": "FROM base\nEXPOSE 80\n"},
        config={"ExposedPorts": {"80/tcp": {}, "81/tcp": {}}},
    ),
    Case(
        "a variable may hold several",
        'FROM base\nENV P="80 81/udp"\nEXPOSE $P\n',
        config={"ExposedPorts": {"80/tcp": {}, "81/udp": {}}},
    ),
    Case("it needs a port", "FROM base\nEXPOSE\n", error=Wrong("Invalid", "EXPOSE", 2)),
    Case("a word is no port", "FROM base\nEXPOSE http\n", error=Wrong("Invalid", "http", 2)),
    Case("70000 is no port", "FROM base\nEXPOSE 70000\n", error=Wrong("Invalid", "70000", 2)),
    Case(
        "a protocol that is none is an error",
        "FROM base\nEXPOSE 80/tpc\n",
        error=Wrong("Invalid", "tcp", 2),
    ),
)
