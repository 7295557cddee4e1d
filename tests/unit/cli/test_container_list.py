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

# Made when they are looked at: times are shown as ages.


def web() -> ContainerRow:
    now = time.time()
    return ContainerRow(
        ContainerRecord(
            id="ab" * 32,
            name="web",
            image="example/node-hello:latest",
            process=Process(args=("supervisord", "-n", "-c", "/etc/a long name")),
            created=now - 120,
            labels={"a": "1", "b": "2"},
        ),
        ContainerState(Status.RUNNING, pid=7, started=now - 61),
        (PublishedPort(8080, 8080), PublishedPort(53, 5353, "127.0.0.1", "udp")),
    )


def old() -> ContainerRow:
    now = time.time()
    return ContainerRow(
        ContainerRecord(
            id="cd" * 32,
            name="old",
            image_id="sha256:" + "ef" * 32,
            process=Process(args=("true",)),
            created=now - 7300,
            ports=(PublishedPort(80, 80),),
        ),
        ContainerState(Status.EXITED, exit_code=3, started=now - 7200, finished=now - 3600),
        (),
    )


def test_the_table_is_docker_s() -> None:
    assert listing([web(), old()], Shape()).splitlines() == [
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
    assert listing([web(), old()], Shape(quiet=True)) == "abababababab\ncdcdcdcdcdcd\n"
    assert listing([web()], Shape(quiet=True, no_trunc=True)) == "ab" * 32 + "\n"


def test_no_trunc_shows_the_whole_command() -> None:
    text = listing([web()], Shape(no_trunc=True))
    assert "\"supervisord -n -c '/etc/a long name'\"" in text


def test_formats() -> None:
    assert (
        listing([web()], Shape(form="{{.Names}} {{.State}} {{.Labels}}")) == "web running a=1,b=2\n"
    )
    line = json.loads(listing([old()], Shape(form="json")))
    assert (line["ID"], line["State"], line["Ports"]) == ("cdcdcdcdcdcd", "exited", "")
    with pytest.raises(Usage):
        listing([old()], Shape(form="{{.Name}}"))


def test_status_of_a_container_that_never_ran() -> None:
    assert status(ContainerState(Status.CREATED), time.time()) == "Created"


def test_a_clock_that_went_back_is_no_negative_time() -> None:
    state = ContainerState(Status.RUNNING, started=time.time() + 100)
    assert status(state, time.time()) == "Up Less than a second"
