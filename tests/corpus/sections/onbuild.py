"""Reference, "ONBUILD"."""

from corpus.case import Case, Wrong

CASES = (
    Case(
        "triggers are in the configuration, in order",
        "FROM base\nONBUILD ADD . /app/src\nONBUILD RUN make\n",
        tree="",
        config={"OnBuild": ["ADD . /app/src", "RUN make"]},
    ),
    Case(
        "they run where the image is a base, right after FROM",
        "FROM parent\nENV B=$A\n",
        bases={
            "parent": "FROM base\nONBUILD COPY a /srv/a\nONBUILD ENV A=1\nONBUILD RUN cp /srv/a /b\n"
        },
        context="a = x",
        tree="b = x\nsrv/a = x",
        env={"A": "1", "B": "1"},
    ),
    Case(
        "they are cleared when they have run",
        "FROM parent\n",
        bases={"parent": "FROM base\nONBUILD ENV A=1\n"},
        env={"A": "1"},
        config={"OnBuild": None},
    ),
    Case(
        "grandchildren do not run them",
        "FROM child\n",
        bases={"parent": "FROM base\nONBUILD COPY a /a\n", "child": "FROM parent\nRUN rm /a\n"},
        context="a = x",
        tree="",
    ),
    Case(
        "a stage's triggers run in the stage on it",
        "FROM base AS one\nONBUILD ENV A=1\nFROM one\nENV B=$A\n",
        env={"A": "1", "B": "1"},
        config={"OnBuild": None},
    ),
    Case(
        "a trigger may copy from a stage of the build it runs in",
        "FROM scratch AS build\nCOPY a /app\nFROM parent\n",
        bases={"parent": "FROM base\nONBUILD COPY --from=build /app /app\n"},
        context="a = x",
        tree="app = x",
    ),
    Case(
        "a trigger may copy from an image",
        "FROM parent\n",
        bases={
            "other": "FROM scratch\nCOPY a /app\n",
            "parent": "FROM base\nONBUILD COPY --from=other /app /app\n",
        },
        context="a = x",
        tree="app = x",
    ),
    Case(
        "a trigger that fails ends the build",
        "FROM parent\n",
        bases={"parent": "FROM base\nONBUILD RUN exit 3\n"},
        error=Wrong("StepFailed", "3"),
    ),
    Case(
        "ONBUILD ONBUILD is not allowed",
        "FROM base\nONBUILD ONBUILD RUN true\n",
        error=Wrong("Invalid", "ONBUILD", 2),
    ),
    Case(
        "ONBUILD FROM is not allowed",
        "FROM base\nONBUILD FROM scratch\n",
        error=Wrong("Invalid", "FROM", 2),
    ),
    Case(
        "ONBUILD MAINTAINER is not allowed",
        "FROM base\nONBUILD MAINTAINER me\n",
        error=Wrong("Invalid", "MAINTAINER", 2),
    ),
    Case(
        "an instruction that is none is not allowed",
        "FROM base\nONBUILD RNU true\n",
        error=Wrong("Invalid", "RUN", 2),
    ),
    Case("it needs an instruction", "FROM base\nONBUILD\n", error=Wrong("Invalid", "ONBUILD", 2)),
)
