"""Reference, "FROM"."""

from corpus.case import Case, Wrong

CASES = (
    Case("scratch is empty", "FROM scratch\nCOPY a /\n", context="a = x", tree="a = x"),
    Case(
        "an image gives its files and its configuration",
        "FROM parent\n",
        bases={"parent": "FROM base\nCOPY a /\nENV A=1\nCMD x\n"},
        context="a = x",
        tree="a = x",
        env={"A": "1"},
        config={"Cmd": ["/bin/sh", "-c", "x"]},
    ),
    Case("without a tag it is latest", "FROM base:latest\nENV A=1\n", tree="", env={"A": "1"}),
    Case(
        "a tag that is not there is an error",
        "FROM SERVER/base:unknown\n",
        error=Wrong("CortenError", "unknown", 1),
    ),
    Case(
        "a name in capitals is no image",
        "FROM Base\n",
        error=Wrong("Invalid", "Base", 1),
    ),
    Case(
        "a stage is a base by its name",
        "FROM base AS one\nENV A=1\nCOPY a /\nFROM one\nENV B=2\n",
        context="a = x",
        tree="a = x",
        env={"A": "1", "B": "2"},
    ),
    Case(
        "names of stages are not case-sensitive",
        "FROM base AS One\nENV A=1\nFROM ONE\n",
        env={"A": "1"},
    ),
    Case(
        "a stage hides an image of its name",
        "FROM scratch AS base\nCOPY a /\nFROM base\n",
        context="a = x",
        tree="a = x",
    ),
    Case(
        "the last of several stages of one name is meant",
        "FROM scratch AS s\nCOPY a /one\nFROM scratch AS s\nCOPY a /two\nFROM s\n",
        context="a = x",
        tree="two = x",
    ),
    Case(
        "each FROM clears what was before",
        "FROM base\nENV A=1\nUSER app\nCOPY a /\nFROM base\n",
        context="a = x",
        tree="",
        env={},
        config={"User": None},
    ),
    Case(
        "stages that nobody needs are not built",
        "FROM base AS never\nRUN false\nFROM base\nENV A=1\n",
        env={"A": "1"},
    ),
    Case(
        "--target ends the build at a stage",
        "FROM base AS one\nENV A=1\nFROM one AS two\nENV B=2\n",
        options={"target": "one"},
        env={"A": "1"},
    ),
    Case(
        "a target that is not there is an error",
        "FROM base AS one\n",
        options={"target": "on"},
        error=Wrong("Invalid", "one"),
    ),
    Case(
        "AS is not case-sensitive",
        "FROM base as one\nENV A=1\nFROM one\n",
        env={"A": "1"},
    ),
    Case(
        "a stage's name must begin with a letter",
        "FROM base AS 1st\n",
        error=Wrong("Invalid", "1st", 1),
    ),
    Case("FROM needs an image", "FROM\n", error=Wrong("Invalid", "FROM", 1)),
    Case("FROM takes no more words", "FROM base one\n", error=Wrong("Invalid", "AS", 1)),
    Case(
        "an image that expands to nothing is an error",
        "FROM $NOTHING\n",
        error=Wrong("Invalid", "NOTHING", 1),
    ),
    Case(
        "--platform may name the build's platform",
        "FROM --platform=$BUILDPLATFORM base\nENV A=1\n",
        tree="",
        env={"A": "1"},
    ),
    Case(
        "--platform that is none is an error",
        "FROM --platform=a/b/c/d base\n",
        error=Wrong("Invalid", "a/b/c/d", 1),
    ),
    Case(
        "an unknown flag is an error",
        "FROM --platfrom=linux/amd64 base\n",
        error=Wrong("Invalid", "platform", 1),
    ),
    Case(
        "ARG before FROM may have a default and be overridden",
        "ARG CODE=unknown\nFROM ${CODE}\nENV A=1\n",
        args={"CODE": "base"},
        env={"A": "1"},
    ),
    Case(
        "ARG before FROM is outside of the stages",
        "ARG VERSION=1\nFROM base\nENV A=[$VERSION]\n",
        env={"A": "[]"},
    ),
    Case(
        "ARG without a value takes the default from before FROM",
        "ARG VERSION=1\nFROM base\nARG VERSION\nRUN echo $VERSION > /image_version\n",
        tree=r"image_version = 1\n",
    ),
)
