"""SSH agents: what the caller names, and what a step may ask of one."""

from __future__ import annotations

import shutil
import socket
import struct
import subprocess
import threading
from pathlib import Path

import pytest

from corten.builder.agents import Agents, AgentSource, parse_ssh
from corten.errors import CortenError, Invalid, NotFound


def test_what_the_option_means(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("k")
    (tmp_path / "other").write_text("k")
    path = str(tmp_path / "agent")
    with socket.socket(socket.AF_UNIX) as agent:
        agent.bind(path)
        assert parse_ssh("default", {"SSH_AUTH_SOCK": path}) == ("default", AgentSource(path))
        assert parse_ssh(f"x={path}", {}) == ("x", AgentSource(path))
        keys = f"x={tmp_path}/key,{tmp_path}/other"
        assert parse_ssh(keys, {})[1].keys == (f"{tmp_path}/key", f"{tmp_path}/other")
        with pytest.raises(Invalid, match="one socket, or key files"):
            parse_ssh(f"x={path},{tmp_path}/key", {})
    with pytest.raises(NotFound, match="no agent runs here"):
        parse_ssh("default", {})
    with pytest.raises(NotFound, match="No such file"):
        parse_ssh("x=/no/such/file", {})
    with pytest.raises(Invalid, match="neither a socket nor a key"):
        parse_ssh(f"x={tmp_path}", {})
    with pytest.raises(Invalid, match="has no id"):
        parse_ssh("=x", {})


def ask(agents: Agents, *requests: bytes) -> list[bytes]:
    """The answers of the agent ``k``: type and content."""
    serve = agents.serve("k")
    assert serve is not None
    ours, theirs = socket.socketpair()
    thread = threading.Thread(target=lambda: serve(theirs))
    thread.start()
    answers = []
    with ours:
        ours.settimeout(10)
        for request in requests:
            ours.sendall(struct.pack(">I", len(request)) + request)
            (length,) = struct.unpack(">I", ours.recv(4, socket.MSG_WAITALL))
            answers.append(ours.recv(length, socket.MSG_WAITALL))
        ours.shutdown(socket.SHUT_WR)
        thread.join(10)
    theirs.close()
    return answers


@pytest.mark.skipif(shutil.which("ssh-agent") is None, reason="needs openssh-client")
def test_a_key_file_is_in_an_agent_that_cannot_be_emptied(tmp_path: Path) -> None:
    key = tmp_path / "key"
    make = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "mine", "-f", str(key)]
    subprocess.run(make, check=True)
    with Agents({"k": AgentSource(keys=(str(key),))}) as agents:
        listed, refused, again = ask(agents, b"\x0b", b"\x13", b"\x0b")
        assert listed[:5] == b"\x0c\0\0\0\1"
        assert listed.endswith(b"mine")
        assert (refused, again) == (b"\x05", listed)
        assert agents.serve("other") is None


@pytest.mark.skipif(shutil.which("ssh-agent") is None, reason="needs openssh-client")
def test_a_key_that_cannot_be_used_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("nonsense")
    (tmp_path / "key").chmod(0o600)
    with (
        Agents({"k": AgentSource(keys=(str(tmp_path / "key"),))}) as agents,
        pytest.raises(CortenError, match="--ssh k: the key cannot be used"),
    ):
        agents.serve("k")
