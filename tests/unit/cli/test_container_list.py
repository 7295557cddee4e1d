"""``corten ps`` as Docker prints it."""

from __future__ import annotations

import json
import time

import pytest

from corten.cli.container_list import Shape, listing, status
from corten.engine.containers import ContainerRow
from corten.errors import Usage
from corten.runtime.containers import ContainerRecord
from corten.runtime.ports import PublishedPort
from corten.runtime.protocols import Process
from corten.runtime.state import ContainerState, Status

NOW = time.time()
WEB = ContainerRow(
    ContainerRecord(
        id="ab" * 32,
        name="web",
        image="example/node-hello:latest",
        process=Process(args=("supervisord", "-n", "-c", "/etc/a long name")),
        created=NOW - 120,
        labels={"a": "1", "b": "2"},
    ),
    ContainerState(Status.RUNNING, pid=7, started=NOW - 61),
    (PublishedPort(8080, 8080), PublishedPort(53, 5353, "127.0.0.1", "udp")),
)
OLD = ContainerRow(
    ContainerRecord(
        id="cd" * 32,
        name="old",
        image_id="sha256:" + "ef" * 32,
        process=Process(args=("true",)),
        created=NOW - 7300,
        ports=(PublishedPort(80, 80),),
    ),
    ContainerState(Status.EXITED, exit_code=3, started=NOW - 7200, finished=NOW - 3600),
    (),
)


def test_the_table_is_docker_s() -> None:
    assert listing([WEB, OLD], Shape()).splitlines() == [
        "CONTAINER ID   IMAGE                       COMMAND                  CREATED         "
        "STATUS                         PORTS                                            NAMES",
        'abababababab   example/node-hello:latest   "supervisord -n -c \'…"   2 minutes ago   '
        "Up About a minute              0.0.0.0:8080->8080/tcp, 127.0.0.1:5353->53/udp   web",
        'cdcdcdcdcdcd   efefefefefef                "true"                   2 hours ago     '
        "Exited (3) About an hour ago                                                    old",
    ]


def test_nothing_is_a_header() -> None:
    assert listing([], Shape()).startswith("CONTAINER ID   IMAGE")
    assert listing([], Shape(quiet=True)) == ""


def test_quiet_is_ids() -> None:
    assert listing([WEB, OLD], Shape(quiet=True)) == "abababababab\ncdcdcdcdcdcd\n"
    assert listing([WEB], Shape(quiet=True, no_trunc=True)) == "ab" * 32 + "\n"


def test_no_trunc_shows_the_whole_command() -> None:
    text = listing([WEB], Shape(no_trunc=True))
    assert "\"supervisord -n -c '/etc/a long name'\"" in text


def test_formats() -> None:
    assert (
        listing([WEB], Shape(form="{{.Names}} {{.State}} {{.Labels}}")) == "web running a=1,b=2\n"
    )
    line = json.loads(listing([OLD], Shape(form="json")))
    assert (line["ID"], line["State"], line["Ports"]) == ("cdcdcdcdcdcd", "exited", "")
    with pytest.raises(Usage):
        listing([OLD], Shape(form="{{.Name}}"))


def test_status_of_a_container_that_never_ran() -> None:
    assert status(ContainerState(Status.CREATED), NOW) == "Created"


def test_a_clock_that_went_back_is_no_negative_time() -> None:
    state = ContainerState(Status.RUNNING, started=NOW + 100)
    assert status(state, NOW) == "Up Less than a second"
