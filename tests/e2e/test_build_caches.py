"""A cache that one machine's build writes serves another's."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from corten.content.layout import OCILayout
from corten.oci import media
from corten.oci.descriptor import Descriptor
from corten.oci.digest import Digest
from support.building import BUSYBOX, needs_busybox
from support.commands import corten
from support.registry_server import ServerProcess, corten_registry

pytestmark = [pytest.mark.root, pytest.mark.e2e]

DOCKERFILE = """FROM scratch AS tools
COPY --chmod=755 busybox /bin/busybox
RUN ["/bin/busybox", "--install", "-s", "/bin"]

FROM tools AS work
COPY input /in/
RUN cat /in/* > /result && head -c 100000 /dev/urandom > /scrap && cat /proc/sys/kernel/random/uuid >> /result

FROM scratch
COPY --from=work /result /result
"""


@pytest.fixture
def context(tmp_path: Path) -> Path:
    needs_busybox()
    folder = tmp_path / "context"
    (folder / "input").mkdir(parents=True)
    (folder / "busybox").write_bytes(BUSYBOX.read_bytes())
    (folder / "input/a").write_text("a")
    (folder / "Dockerfile").write_text(DOCKERFILE)
    return folder


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with corten_registry(tmp_path_factory.mktemp("registry")) as running:
        yield running


def built(root: Path, context: Path, *flags: str) -> tuple[str, str]:
    """The image's ID, and what was said on the way."""
    file = root.with_suffix(".id")
    done = corten("--progress=plain", "build", f"--iidfile={file}", *flags, str(context), root=root)
    assert done.returncode == 0, done.stderr
    return file.read_text(), done.stderr


@pytest.mark.parametrize("place", ["registry", "local"])
def test_a_cache_of_all_steps_saves_another_machine_the_work(
    place: str, context: Path, tmp_path: Path, server: ServerProcess
) -> None:
    folder = tmp_path / "cache"
    to, origin = (
        (f"type=registry,ref={server.host}/cache/x:1", f"{server.host}/cache/x:1")
        if place == "registry"
        else (f"type=local,dest={folder}", f"type=local,src={folder}")
    )
    first, _ = built(tmp_path / "one", context, f"--cache-to={to},mode=max")
    second, said = built(tmp_path / "two", context, f"--cache-from={origin}")
    assert second == first  # the step draws lots: it was not run again
    assert said.count("CACHED") >= 4, said
    # What only stages on the way have was not fetched.
    blobs = tmp_path / "two/content/blobs/sha256"
    assert sum(file.stat().st_size for file in blobs.iterdir()) < 50_000
    # A file that changes makes the step run, on layers that are fetched now.
    (context / "input/a").write_text("b")
    third, said = built(tmp_path / "three", context, f"--cache-from={origin}")
    assert third != first
    assert corten("run", "--rm", third, "x", root=tmp_path / "three").returncode != 0
    assert "--install" in said


def test_what_only_the_image_needs_is_in_a_small_cache(context: Path, tmp_path: Path) -> None:
    folder = tmp_path / "cache"
    first, _ = built(tmp_path / "one", context, f"--cache-to=type=local,dest={folder}")
    layout = OCILayout(folder)
    manifest = json.loads(layout.locate(layout.resolve("latest")).read_bytes())
    assert len(manifest["layers"]) == 1
    second, _ = built(tmp_path / "two", context, f"--cache-from=type=local,src={folder}")
    assert second != first  # the stage before is not in it, and draws lots


def test_an_image_is_its_own_cache(context: Path, tmp_path: Path, server: ServerProcess) -> None:
    (context / "Dockerfile").write_text(DOCKERFILE.partition("FROM scratch\nCOPY --from")[0])
    name = f"{server.host}/own/image:1"
    first, _ = built(tmp_path / "one", context, "--cache-to=type=inline", "-t", name)
    pushed = corten("push", name, root=tmp_path / "one")
    assert pushed.returncode == 0, pushed.stderr
    second, said = built(tmp_path / "two", context, f"--cache-from={name}")
    assert second == first, said


def test_a_cache_that_is_not_there_is_a_warning(context: Path, tmp_path: Path) -> None:
    _, said = built(tmp_path / "one", context, f"--cache-from=type=local,src={tmp_path}/none")
    assert "no cache from" in said


def test_a_layer_that_is_another_than_the_cache_says_is_refused(
    context: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "cache"
    built(tmp_path / "one", context, f"--cache-to=type=local,dest={folder},mode=max")
    layout = OCILayout(folder)
    manifest = json.loads(layout.locate(layout.resolve("latest")).read_bytes())
    manifest["layers"] = manifest["layers"][1:] + manifest["layers"][:1]
    raw = json.dumps(manifest).encode()
    with layout.ingest() as ingest:
        ingest.write(raw)
        swapped = ingest.commit()
    layout.tag(
        "latest",
        Descriptor(media_type=media.OCI_MANIFEST, digest=swapped.digest, size=swapped.size),
    )
    done = corten(
        "build", f"--cache-from=type=local,src={folder}", str(context), root=tmp_path / "two"
    )
    assert done.returncode != 0
    assert "of a build cache unpacks to" in done.stderr


def rewrite(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Change the document of the cache in the layout `folder`."""
    layout = OCILayout(folder)
    manifest = json.loads(layout.locate(layout.resolve("latest")).read_bytes())
    config = Descriptor(media_type="", digest=Digest(manifest["config"]["digest"]), size=0)
    document = json.loads(layout.locate(config).read_bytes())
    change(document)
    manifest["config"] |= put(layout, json.dumps(document).encode())
    root = put(layout, json.dumps(manifest).encode())
    digest = Digest(str(root["digest"]))
    size = len(json.dumps(manifest).encode())
    layout.tag("latest", Descriptor(media_type=media.OCI_MANIFEST, digest=digest, size=size))


def put(layout: OCILayout, raw: bytes) -> dict[str, object]:
    with layout.ingest() as ingest:
        ingest.write(raw)
        made = ingest.commit()
    return {"digest": str(made.digest), "size": made.size}


def test_a_bad_cache_does_not_spoil_the_next_build_without_it(
    context: Path, tmp_path: Path
) -> None:
    (context / "Dockerfile").write_text(
        "FROM scratch AS a\nCOPY input/a /f\nCOPY busybox /junk\nFROM scratch\nCOPY --from=a /f /f\n"
    )
    folder = tmp_path / "cache"
    good, _ = built(tmp_path / "one", context, f"--cache-to=type=local,dest={folder},mode=max")

    def swap(document: dict[str, Any]) -> None:
        # The copy from the stage is known by its definition, the others by their content alone.
        chosen = [r for r in document["records"] if any(k[:5] == "step:" for k in r["keys"])]
        assert len(chosen) == 1
        chosen[0]["layer"] = next(
            r["layer"] for r in document["records"] if r["layer"] != chosen[0]["layer"]
        )

    rewrite(folder, swap)
    (context / "busybox").write_bytes(b"another")  # so that the stage's result is another
    root = tmp_path / "two"
    bad, _ = built(root, context, f"--cache-from=type=local,src={folder}")
    assert bad != good  # who trusts a cache gets what it says
    assert built(root, context)[0] == good


def test_a_cache_that_lost_a_layer_is_left_out(context: Path, tmp_path: Path) -> None:
    folder = tmp_path / "cache"
    built(tmp_path / "one", context, f"--cache-to=type=local,dest={folder},mode=max")
    layout = OCILayout(folder)
    manifest = json.loads(layout.locate(layout.resolve("latest")).read_bytes())
    for layer in manifest["layers"]:
        (folder / "blobs/sha256" / layer["digest"].partition(":")[2]).unlink()
    _, said = built(tmp_path / "two", context, f"--cache-from=type=local,src={folder}")
    assert "a build cache has lost layer" in said
