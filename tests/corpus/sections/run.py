"""Reference, "RUN", with --network, --security and --device."""

from corpus.case import Case, Wrong

CASES = (
    Case(
        "each RUN works on what the one before left",
        "FROM base\nRUN echo 1 > /a\nRUN cat /a > /b && rm /a\n",
        tree=r"b = 1\n",
    ),
    Case(
        "what it removes is gone",
        "FROM base\nRUN rm -r /srv\n",
        tree="-srv\n-srv/old\n-srv/sub\n-srv/sub/deep",
    ),
    Case(
        "modes, owners and links stay",
        "FROM base\nRUN mkdir -m 700 /d && echo x > /d/f && chown 1000:1001 /d /d/f"
        " && chmod 4750 /d/f && ln -s f /d/l\n",
        tree=r"""
d/ 700 1000:1001
d/f 4750 1000:1001 = x\n
d/l -> f
""",
    ),
    Case(
        "a command that fails ends the build",
        "FROM base\nRUN exit 7\n",
        error=Wrong("StepFailed", "7", 2),
    ),
    Case(
        "a program that is not there ends the build",
        'FROM base\nRUN ["/nothing"]\n',
        error=Wrong("CortenError", "/nothing", 2),
    ),
    Case("RUN needs a command", "FROM base\nRUN\n", error=Wrong("Invalid", "RUN", 2)),
    Case(
        "it begins in the working directory",
        "FROM base\nWORKDIR /srv\nRUN pwd > where\n",
        tree=r"srv/where = /srv\n",
    ),
    Case(
        "it has ENV and ARG in its environment",
        'FROM base\nENV A=env\nARG B=arg\nRUN echo "$A $B" > /out\n',
        tree=r"out = env arg\n",
    ),
    Case(
        "it changes nothing of the configuration",
        "FROM base\nRUN cd /srv && export A=1\n",
        tree="",
        env={},
        config={"Cmd": None, "Entrypoint": None},
    ),
    Case(
        "it is in the history as what was run",
        "FROM base\nARG A=1\nRUN true\n",
        history=("ARG A=1", "RUN |1 A=1 /bin/sh -c true"),
    ),
    Case(
        "quotes reach the shell as they are",
        "FROM base\nRUN echo 'a  \"b\"' \"c  'd'\" > /out\n",
        tree=r"""out = a  "b" c  'd'\n""",
    ),
    Case(
        "--network=none leaves the loopback alone",
        "FROM base\nRUN --network=none ls /sys/class/net > /out\n",
        tree=r"out = lo\n",
    ),
    Case(
        "--network=none cannot reach the host",
        "FROM base\nRUN --network=none wget -q -O /out http://SERVER/file || echo no > /out\n",
        tree=r"out = no\n",
    ),
    Case(
        "--network=default is no flag at all",
        "FROM base\nRUN --network=default echo x > /out\n",
        tree=r"out = x\n",
    ),
    Case(
        "--network=host has the host's network",
        "FROM base\nRUN --network=host wget -q -O /out http://SERVER/file\n",
        tree="out = served",
    ),
    Case(
        "an unknown network is an error",
        "FROM base\nRUN --network=hots true\n",
        error=Wrong("Invalid", "host", 2),
    ),
    Case(
        "--security=sandbox is no flag at all",
        "FROM base\nRUN --security=sandbox echo x > /out\n",
        tree=r"out = x\n",
    ),
    Case(
        "--security=insecure has to be allowed",
        "FROM base\nRUN --security=insecure true\n",
        error=Wrong("CortenError", "insecure", 2),
    ),
    Case(
        "an unknown security mode is an error",
        "FROM base\nRUN --security=sandbxo true\n",
        error=Wrong("Invalid", "sandbox", 2),
    ),
    Case(
        "an unknown flag is an error",
        "FROM base\nRUN --netwrok=none true\n",
        error=Wrong("Invalid", "network", 2),
    ),
)
