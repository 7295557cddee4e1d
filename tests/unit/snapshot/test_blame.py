"""Errors about what a layer holds."""

from __future__ import annotations

import pytest

from corten.errors import Corrupt, CortenError, Denied, Invalid, Unsupported
from corten.oci.digest import Digest
from corten.snapshot.blame import in_layer

LAYER = Digest.of(b"layer")


@pytest.mark.parametrize("family", [Invalid, Unsupported, Corrupt])
def test_errors_about_content_name_the_layer_once(family: type[CortenError]) -> None:
    with (
        pytest.raises(family) as caught,
        in_layer(Digest.of(b"outer")),
        in_layer(LAYER),
    ):
        raise family("etc/passwd climbs", hint="do not")
    assert str(caught.value) == f"layer {LAYER.short}: etc/passwd climbs"
    assert caught.value.hint == "do not"


def test_other_errors_pass_as_they_are() -> None:
    with pytest.raises(Denied) as caught, in_layer(LAYER):
        raise Denied("no rights")
    assert str(caught.value) == "no rights"
