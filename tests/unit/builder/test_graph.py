"""Steps: digests of definitions, order."""

from __future__ import annotations

import pytest

from corten.builder.graph import Copy, Graph, MakeDirectory, Run, Scratch, SourceImage, Step, order
from corten.builder.ports import exposed, is_signal
from corten.errors import Invalid
from corten.oci.digest import Digest

BASE = Step(Scratch())


def test_the_same_definition_has_the_same_digest() -> None:
    one, other = (Step(Run(("a",), env=("A=b",)), (BASE,), "linux/amd64") for _ in range(2))
    assert one is not other
    assert (one, hash(one)) == (other, hash(other))
    assert one.digest == other.digest


@pytest.mark.parametrize(
    "other",
    [
        Step(Run(("a", "b")), (BASE,)),
        Step(Run(("ab",)), (BASE,)),
        Step(Run(("a",), env=("b",)), (BASE,)),
        Step(Run(("a",), cwd="/b"), (BASE,)),
        Step(Run(("a",), user="b"), (BASE,)),
        Step(Run(("a",), network="none"), (BASE,)),
        Step(Run(("a",)), (BASE,), "linux/arm64"),
        Step(Run(("a",)), (Step(SourceImage("x", ())),)),
        Step(Run(("a",)), (BASE, BASE)),
        Step(Copy(("a",), "/b"), (BASE,)),
        Step(MakeDirectory("/a"), (BASE,)),
    ],
)
def test_any_difference_makes_another_digest(other: Step) -> None:
    assert Step(Run(("a",)), (BASE,)).digest != other.digest


def test_copies_differ_by_every_field() -> None:
    copies = [
        Copy(("/a",), "/b"),
        Copy(("/a",), "/b/"),
        Copy(("/a",), "/b", from_input=True),
        Copy(("/a",), "/b", chown="1"),
        Copy(("/a",), "/b", chmod="1"),
        Copy(("/a",), "/b", add=True),
        Copy(("/a",), "/b", link=True),
        Copy(("/a",), "/b", time=1),
    ]
    assert len({Step(copy).digest for copy in copies}) == len(copies)


def test_a_step_does_not_change() -> None:
    with pytest.raises(AttributeError):
        BASE.op = Run(("x",))
    assert "Scratch" in repr(BASE)
    assert BASE != "x"


def test_order_puts_inputs_first_and_each_step_once() -> None:
    left, right = Step(Run(("l",)), (BASE,)), Step(Run(("r",)), (BASE,))
    top = Step(Copy(("/",), "/", from_input=True), (left, right))
    assert order([top, left]) == [BASE, left, right, top]
    assert list(Graph((top,))) == [BASE, left, right, top]


def test_order_of_a_chain_of_thousands_does_not_recurse() -> None:
    step = BASE
    for number in range(5000):
        step = Step(Run((str(number),)), (step,))
    assert len(order([step])) == 5001


def test_a_digest_is_a_digest() -> None:
    assert isinstance(BASE.digest, Digest)
    assert BASE.digest.algorithm == "sha256"


@pytest.mark.parametrize(
    ("text", "ports"),
    [
        ("80", ["80/tcp"]),
        ("53/UDP", ["53/udp"]),
        ("9/sctp", ["9/sctp"]),
        ("1-3", ["1/tcp", "2/tcp", "3/tcp"]),
        ("127.0.0.1:8080:80", ["80/tcp"]),
        ("65535", ["65535/tcp"]),
    ],
)
def test_ports(text: str, ports: list[str]) -> None:
    assert exposed(text) == ports


@pytest.mark.parametrize(
    "text", ["", "a", "0", "65536", "3-1", "80/", "80/x", "80/tcp/udp", "-1", "1-", "٣"]
)
def test_what_is_no_port(text: str) -> None:
    with pytest.raises(Invalid):
        exposed(text)


@pytest.mark.parametrize("text", ["SIGTERM", "term", "SIGRTMIN+3", "RTMAX-1", "9", "64"])
def test_signals(text: str) -> None:
    assert is_signal(text)


@pytest.mark.parametrize("text", ["", "SIG", "0", "65", "-1", "SIGRTMIN+31", "SIGSIGTERM", "T ERM"])
def test_what_is_no_signal(text: str) -> None:
    assert not is_signal(text)
