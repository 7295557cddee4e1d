"""What --output says, and what it may not say."""

from __future__ import annotations

import pytest

from corten.engine.outputs.options import Output, check_outputs, parse_output
from corten.errors import Invalid


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("out", Output(type="local", dest="out")),
        ("-", Output(type="tar", dest="-")),
        ("type=image", Output(type="image")),
        ("type=docker", Output(type="image")),
        ("type=registry", Output(type="image", push=True)),
        ("type=image,push=true,oci-mediatypes=true", Output(type="image", push=True)),
        (
            'type=image,"name=a,localhost:5000/b:2"',
            Output(type="image", names=("docker.io/library/a:latest", "localhost:5000/b:2")),
        ),
        ("type=oci,dest=f.tar", Output(type="oci", dest="f.tar")),
        ("type=oci,dest=d,tar=false", Output(type="oci", dest="d", layout=True)),
        ("type=docker,dest=-", Output(type="docker", dest="-")),
        ('type=local,"dest=a,b"', Output(type="local", dest="a,b")),
        ("dest=x,type=tar,platform-split=false", Output(type="tar", dest="x", split=False)),
    ],
)
def test_an_output_is_read(text: str, wanted: Output) -> None:
    assert parse_output(text) == wanted


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("dest=x", "has no type"),
        ("type=oc", "knows no type 'oc'"),
        ("type=tar", "does not say where"),
        ("type=local", "does not say where"),
        ("type=local,dest=-", "standard output"),
        ("type=oci,dest=-,tar=false", "a layout is a directory"),
        ("type=oci,dest=x,push=true", "has no option 'push'"),
        ("type=image,compression=zstd", "has no option 'compression'"),
        ("type=image,push=yes", "true or false"),
        ("type=image,push", "'push' has no value"),
        ("type=image,name=UPPER", "UPPER"),
        ("type=image,name=a@sha256:" + "0" * 64, "has a digest"),
    ],
)
def test_an_output_that_makes_no_sense_is_refused(text: str, reason: str) -> None:
    with pytest.raises(Invalid, match=reason):
        parse_output(text)


def test_a_push_needs_a_name() -> None:
    push = [parse_output("type=registry")]
    with pytest.raises(Invalid, match="no name to push"):
        check_outputs(push, ())
    check_outputs(push, ("a",))
    check_outputs([parse_output("type=registry,name=a")], ())


def test_two_outputs_to_one_place_are_refused() -> None:
    with pytest.raises(Invalid, match="two outputs go to x"):
        check_outputs([parse_output("x"), parse_output("type=tar,dest=x")], ())
