"""Reference, "HEALTHCHECK".  Times in the configuration are nanoseconds."""

from corpus.case import Case, Wrong

_SECOND = 1_000_000_000

CASES = (
    Case(
        "the example of the reference",
        "FROM base\nHEALTHCHECK --interval=5m --timeout=3s \\\n  CMD curl -f http://localhost/ || exit 1\n",
        config={
            "Healthcheck": {
                "Test": ["CMD-SHELL", "curl -f http://localhost/ || exit 1"],
                "Interval": 300 * _SECOND,
                "Timeout": 3 * _SECOND,
            }
        },
    ),
    Case(
        "exec form",
        'FROM base\nHEALTHCHECK CMD ["check", "-a"]\n',
        config={"Healthcheck": {"Test": ["CMD", "check", "-a"]}},
    ),
    Case(
        "all five options",
        "FROM base\nHEALTHCHECK --interval=1s --timeout=2s --start-period=3s --start-interval=500ms --retries=4 CMD x\n",
        config={
            "Healthcheck": {
                "Test": ["CMD-SHELL", "x"],
                "Interval": _SECOND,
                "Timeout": 2 * _SECOND,
                "StartPeriod": 3 * _SECOND,
                "StartInterval": _SECOND // 2,
                "Retries": 4,
            }
        },
    ),
    Case(
        "NONE disables what the base image has",
        "FROM parent\nHEALTHCHECK NONE\n",
        bases={"parent": "FROM base\nHEALTHCHECK CMD x\n"},
        config={"Healthcheck": {"Test": ["NONE"]}},
    ),
    Case(
        "it is inherited",
        "FROM parent\n",
        bases={"parent": "FROM base\nHEALTHCHECK CMD x\n"},
        config={"Healthcheck": {"Test": ["CMD-SHELL", "x"]}},
    ),
    Case(
        "the last one counts",
        "FROM base\nHEALTHCHECK CMD a\nHEALTHCHECK CMD b\n",
        config={"Healthcheck": {"Test": ["CMD-SHELL", "b"]}},
    ),
    Case(
        "a time of several units",
        "FROM base\nHEALTHCHECK --interval=1m30s CMD x\n",
        config={"Healthcheck": {"Test": ["CMD-SHELL", "x"], "Interval": 90 * _SECOND}},
    ),
    Case(
        "a time without a unit is an error",
        "FROM base\nHEALTHCHECK --interval=5 CMD x\n",
        error=Wrong("Invalid", "5", 2),
    ),
    Case(
        "retries must be a number",
        "FROM base\nHEALTHCHECK --retries=x CMD x\n",
        error=Wrong("Invalid", "x", 2),
    ),
    Case("CMD needs a command", "FROM base\nHEALTHCHECK CMD\n", error=Wrong("Invalid", "CMD", 2)),
    Case("it is CMD or NONE", "FROM base\nHEALTHCHECK RUN x\n", error=Wrong("Invalid", "NONE", 2)),
    Case(
        "NONE takes no options",
        "FROM base\nHEALTHCHECK NONE x\n",
        error=Wrong("Invalid", "NONE", 2),
    ),
    Case(
        "an unknown option is an error",
        "FROM base\nHEALTHCHECK --intervall=5s CMD x\n",
        error=Wrong("Invalid", "interval", 2),
    ),
)
