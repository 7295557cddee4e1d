"""Reference, "STOPSIGNAL"."""

from corpus.case import Case, Wrong

CASES = (
    Case("a name", "FROM base\nSTOPSIGNAL SIGKILL\n", config={"StopSignal": "SIGKILL"}),
    Case("a number", "FROM base\nSTOPSIGNAL 9\n", config={"StopSignal": "9"}),
    Case("nothing is set without it", "FROM base\n", config={"StopSignal": None}),
    Case(
        "a word is no signal", "FROM base\nSTOPSIGNAL NEVER\n", error=Wrong("Invalid", "NEVER", 2)
    ),
    Case("it needs a signal", "FROM base\nSTOPSIGNAL\n", error=Wrong("Invalid", "STOPSIGNAL", 2)),
    Case(
        "it is inherited",
        "FROM parent\n",
        bases={"parent": "FROM base\nSTOPSIGNAL SIGINT\n"},
        config={"StopSignal": "SIGINT"},
    ),
)
