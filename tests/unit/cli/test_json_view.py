"""``--progress=json``: every line is what the schema says."""

from __future__ import annotations

import ast
import base64
import io
import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from corten.cli.views.jsonlines import SCHEMA, JsonView
from corten.events import model
from corten.events.job import Job
from corten.events.model import STATUSES, Started


def lines_of(stream: io.StringIO) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    validator = jsonschema.Draft202012Validator(SCHEMA)
    for line in lines:
        validator.validate(line)
    return lines


def test_a_whole_stream_follows_the_schema() -> None:
    stream = io.StringIO()
    view = JsonView(stream)
    job = Job(view.event)
    with pytest.raises(RuntimeError), job.step("build", "example/hello") as build:
        with build.step("layer", "abc", 10) as layer:
            layer.advance(10)
        with build.step("step", "RUN x") as run:
            run.output(1, b"two\nlines\n")
            run.output(2, b"\xff\xfe")
            run.warn("careful")
            raise RuntimeError("exit status 3")
    view.note("cancelling…")
    lines = lines_of(stream)
    assert [line["event"] for line in lines] == [
        *("started", "started", "progress", "finished", "started"),
        *("output", "output", "warned", "finished", "finished", "note"),
    ]
    assert lines[1] == {
        "event": "started",
        "id": "2",
        "parent": "1",
        "kind": "layer",
        "name": "abc",
        "total": 10,
    }
    assert lines[2] == {"event": "progress", "id": "2", "current": 10, "total": 10}
    assert lines[5] == {"event": "output", "id": "3", "stream": 1, "text": "two\nlines\n"}
    assert base64.b64decode(lines[6]["base64"]) == b"\xff\xfe"
    assert lines[8]["status"] == "failed"
    assert lines[8]["detail"] == "exit status 3"


def test_every_event_is_one_line_of_ascii_whatever_it_holds() -> None:
    stream = io.StringIO()
    JsonView(stream).event(Started("1", "", "step", "RUN a\nb\u2028\udcff\x1b[1m"))
    text = stream.getvalue()
    assert text.isascii()
    assert text.count("\n") == 1
    assert text.endswith("\n")
    assert json.loads(text)["name"] == "RUN a\nb\u2028\udcff\x1b[1m"


def test_the_schema_refuses_what_is_no_event() -> None:
    validator = jsonschema.Draft202012Validator(SCHEMA)
    for wrong in (
        {"event": "started", "id": "1"},
        {"event": "finished", "id": "1", "status": "ok", "detail": "", "seconds": 1},
        {"event": "note", "id": "", "text": "x", "more": 1},
        {"event": "unknown", "id": "1"},
    ):
        assert not validator.is_valid(wrong)


@pytest.mark.parametrize("status", STATUSES)
def test_the_schema_knows_every_end_of_a_step(status: str) -> None:
    stream = io.StringIO()
    job = Job(JsonView(stream).event)
    with job.step("copy", "sha256:abc") as step:
        step.result(status)
    assert lines_of(stream)[-1]["status"] == status


def test_nothing_ends_a_step_otherwise() -> None:
    """Every ``job.result("word")`` in the source is one of those that the schema lists."""
    source = Path(model.__file__).parents[1]
    said = {
        word.value
        for file in source.rglob("*.py")
        for call in ast.walk(ast.parse(file.read_bytes()))
        if isinstance(call, ast.Call)
        and isinstance(call.func, ast.Attribute)
        and call.func.attr == "result"
        and call.args
        for word in ast.walk(call.args[0])
        if isinstance(word, ast.Constant) and isinstance(word.value, str)
    }
    assert "mounted" in said
    assert said <= set(STATUSES)
