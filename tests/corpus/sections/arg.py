"""Reference, "ARG"."""

import os

from corpus.case import Case, Wrong
from corten.oci.platform import normalized

_HOST = normalized("linux", os.uname().machine)

CASES = (
    Case("a default", "FROM base\nARG A=1\nENV B=$A\n", env={"B": "1"}),
    Case(
        "--build-arg goes before the default",
        "FROM base\nARG A=1\nENV B=$A\n",
        args={"A": "2"},
        env={"B": "2"},
    ),
    Case("without a value it is nothing", "FROM base\nARG A\nENV B=[$A]\n", env={"B": "[]"}),
    Case(
        "several per line",
        "FROM base\nARG A=1 B C=3\nENV X=$A$B$C\n",
        args={"B": "2"},
        env={"X": "123"},
    ),
    Case(
        "it is in effect from its line on",
        "FROM base\nUSER ${username:-some_user}\nLABEL user=$username\nARG username\nUSER $username\n",
        args={"username": "what_user"},
        config={"User": "what_user", "Labels": {"user": ""}},
    ),
    Case(
        "it is not in the image",
        "FROM base\nARG A=1\nRUN true\n",
        env={},
    ),
    Case(
        "RUN has it in its environment",
        "FROM base\nARG A=1\nRUN echo $A > /out\n",
        tree=r"out = 1\n",
    ),
    Case(
        "a stage that is based on it has it",
        "FROM base AS one\nARG A=1\nFROM one\nENV B=$A\n",
        env={"B": "1"},
    ),
    Case(
        "a stage that is not based on it does not have it",
        "FROM base AS one\nARG A=1\nFROM base\nENV B=[$A]\n",
        env={"B": "[]"},
    ),
    Case(
        "ENV always goes before ARG",
        "FROM base\nARG VER\nENV VER=v1\nRUN echo $VER > /out\n",
        args={"VER": "v2"},
        tree=r"out = v1\n",
        env={"VER": "v1"},
    ),
    Case(
        "ENV goes before an ARG that follows it",
        "FROM base\nENV VER=v1\nARG VER=v2\nRUN echo $VER > /out\nLABEL v=$VER\n",
        tree=r"out = v1\n",
        config={"Labels": {"v": "v1"}},
    ),
    Case(
        "ENV may take it over with a default",
        "FROM base\nARG VER\nENV VER=${VER:-v1}\n",
        env={"VER": "v1"},
    ),
    Case(
        "ENV may take over what is given",
        "FROM base\nARG VER\nENV VER=${VER:-v1}\n",
        args={"VER": "v2"},
        env={"VER": "v2"},
    ),
    Case(
        "a default may hold earlier ones",
        "ARG A=1\nARG B=${A}2\nFROM base\nARG B\nARG C=${B}3\nENV X=$C\n",
        env={"X": "123"},
    ),
    Case(
        "a default of a stage goes before the global one",
        "ARG A=global\nFROM base\nARG A=stage\nENV X=$A\n",
        env={"X": "stage"},
    ),
    Case(
        "what is given goes before both defaults",
        "ARG A=global\nFROM base\nARG A=stage\nENV X=$A\n",
        args={"A": "given"},
        env={"X": "given"},
    ),
    Case(
        "a default may be quoted",
        "FROM base\nARG A=\"two words\" B='$A'\nENV X=$A Y=$B\n",
        env={"X": "two words", "Y": "$A"},
    ),
    Case(
        "an empty value is a value",
        "FROM base\nARG A=1\nENV X=[$A]\n",
        args={"A": ""},
        env={"X": "[]"},
    ),
    Case(
        "what nobody asks for is a warning",
        "FROM base\n",
        args={"UNKNOWN": "1"},
        warns="UNKNOWN",
    ),
    Case(
        "proxies need no ARG",
        'FROM base\nRUN echo "$HTTP_PROXY $no_proxy" > /out\n',
        args={"HTTP_PROXY": "http://proxy.test", "no_proxy": "x"},
        tree=r"out = http://proxy.test x\n",
        env={},
        history=("RUN /bin/sh -c echo",),
    ),
    Case(
        "a proxy with an ARG is in the history",
        "FROM base\nARG HTTP_PROXY\nRUN true\n",
        args={"HTTP_PROXY": "http://proxy.test"},
        history=("ARG HTTP_PROXY=http://proxy.test", "RUN |1 HTTP_PROXY=http://proxy.test"),
    ),
    Case(
        "the platform's are there once they are declared",
        "FROM base\nARG TARGETPLATFORM TARGETOS TARGETARCH BUILDPLATFORM BUILDOS BUILDARCH\n"
        "LABEL t=$TARGETPLATFORM,$TARGETOS,$TARGETARCH b=$BUILDPLATFORM,$BUILDOS,$BUILDARCH\n",
        config={
            "Labels": {
                "t": f"{_HOST},linux,{_HOST.architecture}",
                "b": f"{_HOST},linux,{_HOST.architecture}",
            }
        },
    ),
    Case(
        "the platform's are not there before they are declared",
        "FROM base\nENV X=[$TARGETOS]\n",
        env={"X": "[]"},
    ),
    Case(
        "FROM sees the platform's without ARG",
        "FROM base AS stage-linux\nENV A=1\nFROM stage-$TARGETOS\n",
        env={"A": "1"},
    ),
    Case(
        "SOURCE_DATE_EPOCH is the time of what is made",
        "FROM scratch\nWORKDIR /w\nCOPY <<EOF /w/a\nEOF\n",
        args={"SOURCE_DATE_EPOCH": "1234567890"},
        tree="w/ @1234567890\nw/a @1234567890",
    ),
    Case("it needs a name", "FROM base\nARG\n", error=Wrong("Invalid", "ARG", 2)),
    Case("a name must be one", "FROM base\nARG 1A=2\n", error=Wrong("Invalid", "1A", 2)),
)
