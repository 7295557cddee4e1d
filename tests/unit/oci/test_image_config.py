"""Image configurations: typed, yet nothing unknown is lost."""

import json

import msgspec
import pytest

from corten.errors import Invalid
from corten.oci.digest import Digest
from corten.oci.image_config import (
    ContainerConfig,
    Healthcheck,
    History,
    ImageConfig,
    RootFS,
    config_document,
    encode_config,
    parse_config,
)
from support.schemas import validate

DIFF_ID = Digest.of(b"layer")
FULL = ImageConfig(
    architecture="amd64",
    os="linux",
    created="2024-01-02T03:04:05Z",
    rootfs=RootFS((DIFF_ID,)),
    config=ContainerConfig(
        user="1000:1000",
        exposed_ports={"8080/tcp": {}},
        env=("PATH=/bin", "A=b=c"),
        entrypoint=("/entry",),
        cmd=("serve", "--now"),
        volumes={"/data": {}},
        working_dir="/srv",
        labels={"rating": "Five Stars"},
        stop_signal="SIGINT",
        healthcheck=Healthcheck(test=("CMD", "true"), interval=10**9),
        shell=("/bin/bash", "-c"),
        on_build=("RUN true",),
    ),
    history=(History(created_by="ENV A=b=c", empty_layer=True), History(created_by="COPY")),
)


def test_a_configuration_survives_the_round_trip() -> None:
    assert parse_config(encode_config(FULL)) == FULL


def test_the_document_uses_the_field_names_of_the_specification() -> None:
    document = json.loads(encode_config(FULL))
    assert document["rootfs"] == {"type": "layers", "diff_ids": [str(DIFF_ID)]}
    assert set(document["config"]) == {
        "User", "ExposedPorts", "Env", "Entrypoint", "Cmd", "Volumes", "WorkingDir",
        "Labels", "StopSignal", "Healthcheck", "Shell", "OnBuild",
    }  # fmt: skip
    assert document["config"]["Healthcheck"] == {"Test": ["CMD", "true"], "Interval": 10**9}
    assert document["history"][0] == {"created_by": "ENV A=b=c", "empty_layer": True}


def test_the_document_satisfies_the_schema() -> None:
    validate(json.loads(encode_config(FULL)), "oci-image", "config-schema.json")


def test_unknown_fields_survive_an_edit() -> None:
    original = config_document(
        b'{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]},'
        b'"x-vendor":{"a":[1,2]},"config":{"Cmd":["old"],"ArgsEscaped":true}}'
    )
    edited = json.loads(encode_config(FULL, original))
    assert edited["x-vendor"] == {"a": [1, 2]}
    assert edited["config"]["ArgsEscaped"] is True
    assert edited["config"]["Cmd"] == ["serve", "--now"]


def test_an_edit_that_empties_a_field_removes_it() -> None:
    original = config_document(encode_config(FULL))
    bare = msgspec.structs.replace(FULL, config=ContainerConfig())
    assert "Cmd" not in json.loads(encode_config(bare, original)).get("config", {})


def test_null_fields_count_as_absent() -> None:
    parsed = parse_config(
        b'{"architecture":"a","os":"l","rootfs":{"type":"layers","diff_ids":[]},'
        b'"config":{"Cmd":null,"Env":null,"Volumes":null,"Labels":null},"history":null}'
    )
    assert parsed.config == ContainerConfig()


def test_the_environment_splits_at_the_first_equals_sign() -> None:
    assert FULL.config.environment() == {"PATH": "/bin", "A": "b=c"}


def test_the_same_value_gives_the_same_bytes() -> None:
    one = encode_config(FULL, {"z": 1, "a": 2})
    two = encode_config(FULL, {"a": 2, "z": 1})
    assert one == two


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"null",
        b"{}",
        b'{"architecture":"a","os":"l"}',
        b'{"architecture":"a","os":"l","rootfs":{"diff_ids":["x"]}}',
        b'{"architecture":1,"os":"l","rootfs":{"diff_ids":[]}}',
        b'{"architecture":"a","os":"l","rootfs":{"diff_ids":[]},"config":{"Cmd":"sh"}}',
        b'{"a":' * 50_000,
    ],
)
def test_malformed_configurations_are_refused(raw: bytes) -> None:
    with pytest.raises(Invalid):
        parse_config(raw)
