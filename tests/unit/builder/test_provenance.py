"""What provenance says of a build, and what it keeps to itself."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from corten.builder.attest import Circumstances, ContextSource, ProvenanceOptions, parse_provenance
from corten.builder.attestations import Attestation, store_attestations
from corten.builder.lower import lower
from corten.builder.named_contexts import NamedContext
from corten.builder.plan import BaseImage, Wishes
from corten.builder.platforms import all_origins, parse_platforms
from corten.builder.provenance import image_uri, provenance
from corten.content.memory import MemoryStore
from corten.dockerfile.parser import parse
from corten.errors import Invalid
from corten.oci.descriptor import describe
from corten.oci.digest import Digest
from corten.oci.image_config import ImageConfig, RootFS
from corten.oci.manifest import parse_document
from corten.oci.platform import Platform
from support.schemas import validate

AMD64, ARM64 = Platform.parse("amd64"), Platform.parse("arm64")
CONFIG = ImageConfig(
    architecture="amd64", os="linux", rootfs=RootFS(()), created="2026-01-02T03:04:05Z"
)
TEXT = """FROM base AS one
ARG TOKEN
ADD https://example.com/x /x
RUN make $TOKEN
FROM --platform=linux/arm64 other/tool:2 AS two
FROM one
COPY --from=two /t /t
"""
WISHES = Wishes(
    build_args={"TOKEN": "t0", "https_proxy": "http://u:pass@proxy"}, labels={"l": "v"}, target=""
)


def made(mode: str, text: str = TEXT, wishes: Wishes = WISHES, **more: Any) -> dict[str, Any]:
    digest = Digest.of(b"base")
    base = BaseImage("docker.io/library/base:latest", CONFIG, digest)
    tool = BaseImage("docker.io/other/tool:2", CONFIG, None)
    known = {("base", "linux/amd64"): base, ("other/tool:2", "linux/arm64"): tool}
    plan = lower(parse(text, "Dockerfile"), wishes, known)
    made_of = Circumstances(
        file="Dockerfile",
        text=text,
        wishes=wishes,
        bases=known,
        **{"downloads": {"https://example.com/x": str(Digest.of(b"x"))}, **more},
    )
    options = ProvenanceOptions(mode=mode, builder_id="urn:me")  # type: ignore[arg-type]
    attestation = provenance(plan, CONFIG, made_of, options)
    predicate: dict[str, Any] = json.loads(json.dumps(attestation.predicate))
    return predicate


def test_images_and_urls_are_named_with_their_digests() -> None:
    definition = made("min")["buildDefinition"]
    assert definition["resolvedDependencies"] == [
        {"uri": "https://example.com/x", "digest": {"sha256": Digest.of(b"x").encoded}},
        {
            "uri": "pkg:docker/base@latest?platform=linux%2Famd64",
            "digest": {"sha256": Digest.of(b"base").encoded},
        },
        {"uri": "pkg:docker/other/tool@2?platform=linux%2Farm64"},
    ]


def test_the_least_says_nothing_of_arguments() -> None:
    predicate = made("min")
    text = json.dumps(predicate)
    assert "t0" not in text
    assert "proxy" not in text
    assert "buildConfig" not in text
    run = predicate["runDetails"]
    assert run["builder"] == {"id": "urn:me"}
    assert run["metadata"]["finishedOn"] == "2026-01-02T03:04:05Z"
    assert run["metadata"]["buildkit_completeness"]["request"] is False


def test_the_most_has_arguments_and_steps_but_no_proxies() -> None:
    predicate = made("max")
    definition = predicate["buildDefinition"]
    arguments = definition["externalParameters"]["request"]["args"]
    assert arguments == {"build-arg:TOKEN": "t0", "label:l": "v"}
    assert "pass" not in json.dumps(predicate)
    steps = definition["internalParameters"]["buildConfig"]["steps"]
    assert {step["op"]["type"] for step in steps} == {"image", "copy", "run"}
    known = [step["id"] for step in steps]
    assert all(needed in known[:at] for at, step in enumerate(steps) for needed in step["inputs"])
    lines = predicate["runDetails"]["metadata"]["buildkit_metadata"]["source"]["lines"]
    assert sorted(lines.values()) == [1, 3, 4, 5, 7]


def test_logins_in_addresses_are_left_out() -> None:
    text = "FROM base\nARG TOKEN\nADD https://user:$TOKEN@example.com/y https://example.com/z /\n"
    predicate = made("max", text)
    definition = predicate["buildDefinition"]
    assert definition["resolvedDependencies"][0] == {"uri": "https://example.com/y"}
    (op,) = (
        step["op"]
        for step in definition["internalParameters"]["buildConfig"]["steps"]
        if step["op"]["type"] == "copy"
    )
    assert op["sources"] == ["https://example.com/y", "https://example.com/z"]


def test_a_context_that_was_fetched_is_named_with_its_commit() -> None:
    commit = "0123456789abcdef0123456789abcdef01234567"
    source = ContextSource("https://example.com/r.git#main", commit)
    text = "FROM base\nCOPY a /\n"
    predicate = made("max", text, sources={"": source})
    definition = predicate["buildDefinition"]
    named = {"uri": source.uri, "digest": {"sha1": commit}}
    assert definition["externalParameters"]["configSource"] == {**named, "path": "Dockerfile"}
    assert named in definition["resolvedDependencies"]
    complete = predicate["runDetails"]["metadata"]["buildkit_completeness"]
    assert complete == {"request": True, "resolvedDependencies": True}
    here = made("max", text)["runDetails"]["metadata"]["buildkit_completeness"]
    assert here["resolvedDependencies"] is False


def test_a_dockerfile_that_did_not_come_with_the_context_is_not_said_to() -> None:
    source = ContextSource("https://example.com/r.git", "0" * 40, has_dockerfile=False)
    outer = made("min", "FROM base\n", sources={"": source})["buildDefinition"]
    assert outer["externalParameters"]["configSource"] == {"path": "Dockerfile"}
    assert outer["externalParameters"]["request"]["locals"] == [{"name": "dockerfile"}]
    assert {"uri": source.uri, "digest": {"sha1": "0" * 40}} in outer["resolvedDependencies"]


def test_what_lies_beside_a_fetched_context_is_named_or_not_resolved() -> None:
    source = ContextSource("https://example.com/r.git", "0" * 40)
    other = ContextSource("https://example.com/x.tar", f"sha256:{'1' * 64}")
    named = {"loc": NamedContext("files", "/somewhere")}
    text = "FROM base\nCOPY --from=loc a /\n"
    wishes = msgspec.structs.replace(WISHES, contexts=named)
    for sources, complete in (({"": source}, False), ({"": source, "loc": other}, True)):
        predicate = made("min", text, wishes=wishes, sources=sources)
        metadata = predicate["runDetails"]["metadata"]
        assert metadata["buildkit_completeness"]["resolvedDependencies"] is complete
        found = [each["uri"] for each in predicate["buildDefinition"]["resolvedDependencies"]]
        assert (other.uri in found) is complete


def test_a_checksum_that_was_asked_for_is_a_digest() -> None:
    checksum = "0123456789abcdef" * 4
    text = f"FROM base\nADD --checksum=sha256:{checksum} https://example.com/y /y\n"
    first = made("min", text)["buildDefinition"]["resolvedDependencies"][0]
    assert first == {"uri": "https://example.com/y", "digest": {"sha256": checksum}}


@pytest.mark.parametrize(
    ("checksum", "known", "digest"),
    [
        (f"sha256:{'1' * 64}", f"sha256:{'2' * 64}", {"digest": {"sha256": "1" * 64}}),
        ("1" * 40, "2" * 40, {"digest": {"sha1": "1" * 40}}),
        ("1" * 7, "1" * 40, {"digest": {"sha1": "1" * 40}}),
        ("1" * 7, "2" * 40, {}),
        ("1" * 7, "", {}),
    ],
)
def test_what_an_address_gave_since_is_not_what_a_checksum_asks_for(
    checksum: str, known: str, digest: dict[str, Any]
) -> None:
    uri = "https://example.com/y" + ("" if ":" in checksum else ".git")
    text = f"FROM base\nADD --checksum={checksum} {uri} /y\n"
    predicate = made("min", text, downloads={uri: known})
    assert predicate["buildDefinition"]["resolvedDependencies"][0] == {"uri": uri, **digest}
    complete = predicate["runDetails"]["metadata"]["buildkit_completeness"]
    assert complete["resolvedDependencies"] is bool(digest)


def test_secrets_are_named_and_nothing_more() -> None:
    text = (
        "FROM base\nARG TOKEN\n"
        "RUN --mount=type=secret,id=s1 --mount=type=ssh,required=true x\n"
        "RUN --mount=type=secret,id=s1,required=true --mount=type=secret,id=s2,env=E y\n"
    )
    request = made("max", text)["buildDefinition"]["externalParameters"]["request"]
    assert request["secrets"] == [
        {"id": "s1", "optional": False},
        {"id": "s2", "optional": True},
    ]
    assert request["ssh"] == [{"id": "default", "optional": False}]
    assert "secrets" not in made("min", text)["buildDefinition"]["externalParameters"]["request"]
    assert "s1" not in json.dumps(made("min", text))


@pytest.mark.parametrize(("network", "hermetic"), [("host", False), ("none", True)])
def test_a_build_without_a_network_is_hermetic(network: str, hermetic: bool) -> None:
    assert made("min", network=network)["runDetails"]["metadata"]["buildkit_hermetic"] is hermetic


def test_options_of_provenance() -> None:
    assert parse_provenance("") is parse_provenance("false") is None
    assert parse_provenance("true") == ProvenanceOptions()
    assert parse_provenance("mode=max,builder-id=x,reproducible=true") == ProvenanceOptions(
        mode="max", builder_id="x", reproducible=True
    )
    for wrong in ("mode=full", "modus=max", "version=v0.2"):
        with pytest.raises(Invalid):
            parse_provenance(wrong)


def test_image_urls() -> None:
    assert image_uri("localhost:5000/a/b:1", "linux/arm/v7") == (
        "pkg:docker/localhost:5000/a/b@1?platform=linux%2Farm%2Fv7"
    )
    assert image_uri("oci-layout:///home/me/layout:1", "a") == "pkg:oci/layout?platform=a"


def test_attestations_are_stored_as_a_manifest_of_their_own() -> None:
    store = MemoryStore()
    subject = describe(b"{}", "application/vnd.oci.image.manifest.v1+json")
    entry = store_attestations(store, subject, [Attestation("urn:type", {"a": 1}, "f")])
    with store.open(entry) as file:
        raw = file.read()
    manifest = parse_document(raw, entry.media_type)
    assert entry.platform == Platform(architecture="unknown", os="unknown")
    assert manifest.subject == subject
    validate(json.loads(raw), "oci-image", "image-manifest-schema.json")
    (layer,) = manifest.children[1:]
    with store.open(layer) as file:
        statement = json.loads(file.read())
    assert statement == {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": "_", "digest": {"sha256": subject.digest.encoded}}],
        "predicateType": "urn:type",
        "predicate": {"a": 1},
    }


def test_platforms_are_read_and_each_counts_once() -> None:
    texts = ("linux/arm64,amd64", "local", "linux/arm/v7")
    assert parse_platforms(texts, AMD64) == (ARM64, AMD64, Platform.parse("linux/arm/v7"))
    assert parse_platforms((), AMD64) == ()
    with pytest.raises(Invalid):
        parse_platforms(("a/b/c/d",), AMD64)


def test_steps_of_several_platforms_say_which() -> None:
    text = (
        "FROM --platform=$BUILDPLATFORM scratch AS b\nCOPY x /\nFROM scratch\nCOPY --from=b x /\n"
    )
    plans = [
        lower(parse(text, "Dockerfile"), Wishes(platform=platform), {})
        for platform in (AMD64, ARM64)
    ]
    titles = [origin.title for origin in all_origins(plans).values()]
    assert titles == [
        "[linux/amd64 b 1/1] COPY x /",
        "[linux/amd64 stage-1 1/1] COPY --from=b x /",
        "[linux/arm64 stage-1 1/1] COPY --from=b x /",
    ]
