"""Where a build's result goes, read back by other programs."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.building import BUSYBOX, needs_busybox
from support.commands import COMMAND, corten, environment
from support.foreign import arm64_mkdir
from support.git_servers import Origin, daemon
from support.registry_server import ServerProcess, corten_registry

pytestmark = [pytest.mark.root, pytest.mark.e2e]

DOCKERFILE = """FROM scratch AS made
ARG TARGETARCH
COPY --chown=1000:1000 --chmod=640 a /$TARGETARCH/a
COPY a /b
FROM made
LABEL x=y
"""
BOTH = "--platform=linux/amd64,linux/arm64"
BINFMT = Path("/proc/sys/fs/binfmt_misc/qemu-aarch64")


@pytest.fixture
def context(tmp_path: Path) -> Path:
    needs_busybox()
    if shutil.which("skopeo") is None:
        pytest.skip("needs skopeo")
    folder = tmp_path / "context"
    folder.mkdir()
    (folder / "a").write_text("hello")
    (folder / "Dockerfile").write_text(DOCKERFILE)
    for path in (folder / "a", folder / "Dockerfile", folder):
        os.utime(path, (1_000_000, 1_000_000))
    return folder


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "root"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with corten_registry(tmp_path_factory.mktemp("registry")) as running:
        yield running


def build(root: Path, context: Path, *flags: str) -> str:
    done = corten("--progress=plain", "build", *flags, str(context), root=root)
    assert done.returncode == 0, done.stderr
    return done.stdout


def skopeo(*arguments: str) -> Any:
    done = subprocess.run(["skopeo", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def images(root: Path) -> str:
    return corten("images", "-q", root=root).stdout


def test_files_go_into_a_directory_and_no_image_is_kept(
    context: Path, root: Path, tmp_path: Path
) -> None:
    out = tmp_path / "new/out"
    build(root, context, f"--output={out}", "--target=made", "-t", "not/kept")
    state = (out / "amd64/a").stat()
    assert (state.st_mode & 0o7777, state.st_uid, state.st_size) == (0o640, 1000, 5)
    assert state.st_mtime == 1_000_000
    assert sorted(path.name for path in out.iterdir()) == ["amd64", "b"]
    assert [path.name for path in out.parent.iterdir()] == ["out"]  # no draft is left
    assert images(root) == ""
    # With --load it is kept as well.
    build(root, context, "-o", str(out), "--load")
    assert images(root) != ""


def test_several_platforms_have_a_directory_each(context: Path, root: Path, tmp_path: Path) -> None:
    build(root, context, BOTH, "-o", f"type=local,dest={tmp_path}/out")
    assert (tmp_path / "out/linux_arm64/arm64/a").read_text() == "hello"
    assert (tmp_path / "out/linux_amd64/amd64/a").read_text() == "hello"
    refused = corten(
        "build", BOTH, "-o", f"type=local,dest={tmp_path}/one,platform-split=false",
        str(context), root=root,
    )  # fmt: skip
    assert refused.returncode != 0
    assert "the images of several platforms have 'b'" in refused.stderr
    assert not (tmp_path / "one").exists()


def test_a_tar_comes_from_standard_output_alone(context: Path, root: Path, tmp_path: Path) -> None:
    with (tmp_path / "out.tar").open("wb") as file:
        subprocess.run(
            [*COMMAND, "build", "-o", "-", "--iidfile", str(tmp_path / "id"), str(context)],
            env=environment(root), stdout=file, stderr=subprocess.PIPE, check=True,
        )  # fmt: skip
    with tarfile.open(tmp_path / "out.tar") as tar:
        found = {member.name: (member.mode, member.uid) for member in tar}
    assert found == {"amd64": (0o755, 1000), "amd64/a": (0o640, 1000), "b": (0o644, 0)}
    build(root, context, "-o", f"type=tar,dest={tmp_path}/again.tar")
    assert (tmp_path / "again.tar").read_bytes() == (tmp_path / "out.tar").read_bytes()
    assert (tmp_path / "id").read_text().startswith("sha256:")


def test_files_have_the_time_that_is_asked_for(context: Path, root: Path, tmp_path: Path) -> None:
    for output in (f"type=local,dest={tmp_path}/out", f"type=tar,dest={tmp_path}/out.tar"):
        build(root, context, "-o", output, "--sbom", "--build-arg=SOURCE_DATE_EPOCH=12345")
    names = ("amd64", "amd64/a", "b", "sbom.spdx.json")
    assert {(tmp_path / "out" / name).stat().st_mtime for name in names} == {12345}
    with tarfile.open(tmp_path / "out.tar") as tar:
        assert {member.name: member.mtime for member in tar} == dict.fromkeys(names, 12345)


def test_skopeo_reads_archives_and_layouts(context: Path, root: Path, tmp_path: Path) -> None:
    metadata = tmp_path / "metadata.json"
    build(
        root, context, "-t", "example/app:1", f"--metadata-file={metadata}",
        "-o", f"type=docker,dest={tmp_path}/docker.tar",
        "-o", f"type=oci,dest={tmp_path}/oci.tar",
        "-o", f"type=oci,dest={tmp_path}/layout,tar=false",
    )  # fmt: skip
    docker = skopeo("inspect", "--config", f"docker-archive:{tmp_path}/docker.tar:example/app:1")
    assert docker["config"]["Labels"] == {"x": "y"}
    archive = skopeo("inspect", f"oci-archive:{tmp_path}/oci.tar:docker.io/example/app:1")
    layout = skopeo("inspect", f"oci:{tmp_path}/layout:1")
    assert layout["Digest"] == archive["Digest"]
    said = json.loads(metadata.read_text())
    assert said["containerimage.digest"] == layout["Digest"]
    assert said["containerimage.descriptor"]["digest"] == layout["Digest"]
    assert said["image.name"] == "docker.io/example/app:1"
    assert said["containerimage.config.digest"].startswith("sha256:")
    assert images(root) == ""


def test_a_docker_archive_of_several_platforms_is_refused(
    context: Path, root: Path, tmp_path: Path
) -> None:
    done = corten(
        "build", BOTH, "-o", f"type=docker,dest={tmp_path}/x.tar", str(context), root=root
    )
    assert done.returncode != 0
    assert "docker archive cannot hold images of several platforms" in done.stderr
    assert not (tmp_path / "x.tar").exists()


def test_an_index_is_pushed_and_pulled(
    context: Path, root: Path, tmp_path: Path, server: ServerProcess
) -> None:
    name = f"{server.host}/out/both:1"
    metadata = tmp_path / "metadata.json"
    build(root, context, BOTH, "--push", "-t", name, f"--metadata-file={metadata}")
    raw = skopeo("inspect", "--raw", "--tls-verify=false", f"docker://{name}")
    platforms = [entry["platform"] for entry in raw["manifests"]]
    assert [platform["architecture"] for platform in platforms] == ["amd64", "arm64"]
    pushed = json.loads(metadata.read_text())
    assert pushed["containerimage.descriptor"]["mediaType"].endswith("index.v1+json")
    assert "containerimage.config.digest" not in pushed
    for architecture in ("amd64", "arm64"):
        config = skopeo(
            "inspect", "--config", "--tls-verify=false", f"--override-arch={architecture}",
            f"docker://{name}",
        )  # fmt: skip
        assert config["architecture"] == architecture
        assert config["history"][-2]["created_by"].startswith("COPY a /b")
    # The same, seen from here: by name, and by what was said to be its ID.
    assert json.loads(corten("inspect", name, root=root).stdout)[0]["Architecture"] == "amd64"
    # A base for another platform is taken from it, and the name stays this machine's.
    (context / "Dockerfile").write_text(f"FROM {name}\nCOPY a /c\n")
    other = tmp_path / "other"
    assert corten("pull", name, root=other).returncode == 0
    build(other, context, BOTH, "-o", str(tmp_path / "files"))
    assert (tmp_path / "files/linux_arm64/arm64/a").exists()
    assert (tmp_path / "files/linux_amd64/amd64/a").exists()
    assert json.loads(corten("inspect", name, root=other).stdout)[0]["Architecture"] == "amd64"


def test_attestations_travel_with_the_image(
    context: Path, root: Path, tmp_path: Path, server: ServerProcess
) -> None:
    name = f"{server.host}/out/attested:1"
    status = "Package: bash\nStatus: install ok installed\nVersion: 5.2\nArchitecture: amd64\n"
    (context / "status").write_text(status)
    with (context / "Dockerfile").open("a") as file:
        file.write("COPY status /var/lib/dpkg/status\nARG TOKEN\nARG HTTP_PROXY\n")
    build(
        root, context, BOTH, "--push", "-t", name, "--sbom", "--provenance=mode=max",
        "--build-arg=TOKEN=t0", "--build-arg=HTTP_PROXY=http://u:hunter2@p", "--iidfile",
        str(tmp_path / "id"),
    )  # fmt: skip
    raw = skopeo("inspect", "--raw", "--tls-verify=false", f"docker://{name}")
    image, _, *attested = raw["manifests"]
    assert len(attested) == 2
    first = attested[0]
    assert first["platform"] == {"architecture": "unknown", "os": "unknown"}
    assert first["annotations"] == {
        "vnd.docker.reference.digest": image["digest"],
        "vnd.docker.reference.type": "attestation-manifest",
    }
    where = f"docker://{server.host}/out/attested@{first['digest']}"
    manifest = skopeo("inspect", "--raw", "--tls-verify=false", where)
    assert manifest["subject"]["digest"] == image["digest"]
    assert manifest["artifactType"] == "application/vnd.docker.attestation.manifest.v1+json"
    kinds = [layer["annotations"]["in-toto.io/predicate-type"] for layer in manifest["layers"]]
    assert kinds == ["https://spdx.dev/Document", "https://slsa.dev/provenance/v1"]
    blobs = root / "content/blobs/sha256"
    documents = []
    for layer in manifest["layers"]:
        text = (blobs / layer["digest"].removeprefix("sha256:")).read_bytes()
        assert hashlib.sha256(text).hexdigest() in layer["digest"]
        assert b"hunter2" not in text
        documents.append(json.loads(text))
    assert all(
        document["subject"][0]["digest"]["sha256"] in image["digest"] for document in documents
    )
    packages = documents[0]["predicate"]["packages"]
    assert [package["name"] for package in packages[1:]] == ["bash"]
    request = documents[1]["predicate"]["buildDefinition"]["externalParameters"]["request"]
    assert request["args"] == {"build-arg:TOKEN": "t0"}
    # Who pulls gets the image, and what is here runs by the same name.
    assert corten("pull", name, root=tmp_path / "other").returncode == 0
    skopeo("inspect", "--tls-verify=false", f"docker://{name}")
    # Written out as files beside the tree.
    build(root, context, "-o", str(tmp_path / "files"), "--sbom", "--provenance")
    assert json.loads((tmp_path / "files/sbom.spdx.json").read_text())["predicate"]
    statement = json.loads((tmp_path / "files/provenance.json").read_text())
    assert statement["predicateType"] == "https://slsa.dev/provenance/v1"


def test_provenance_of_a_repository_names_its_commit(root: Path, tmp_path: Path) -> None:
    origin = Origin(tmp_path, "repo")
    origin.commit({"Dockerfile": "FROM scratch\nCOPY a /\n", "a": "1"})
    with daemon(tmp_path / "served") as url:
        done = corten(
            "build", "--provenance", "-o", str(tmp_path / "out"), f"{url}/repo.git", root=root
        )
        own_dockerfile = (
            "build",
            "--provenance",
            "-f-",
            f"--build-context=more={url}/repo.git#main",
        )
        subprocess.run(
            [*COMMAND, *own_dockerfile, "-o", tmp_path / "own", f"{url}/repo.git"],
            input=b"FROM scratch\nCOPY --from=more a /\n",
            env=environment(root),
            check=True,
            timeout=60,
        )
    assert done.returncode == 0, done.stderr
    statement = json.loads((tmp_path / "out/provenance.json").read_text())
    source = statement["predicate"]["buildDefinition"]["externalParameters"]["configSource"]
    assert source["uri"].endswith("/repo.git")
    assert source["digest"]["sha1"] in done.stderr  # the step that fetched says which
    own = json.loads((tmp_path / "own/provenance.json").read_text())["predicate"]
    assert list(own["buildDefinition"]["externalParameters"]["configSource"]) == ["path"]
    dependencies = own["buildDefinition"]["resolvedDependencies"]
    assert [each["uri"].rpartition("/")[2] for each in dependencies] == [
        "repo.git",
        "repo.git#main",
    ]
    complete = statement["predicate"]["runDetails"]["metadata"]["buildkit_completeness"]
    assert complete["resolvedDependencies"] is True


def test_index_and_attestations_are_reproducible(context: Path, tmp_path: Path) -> None:
    digests = set()
    flags = (BOTH, "--sbom", "--provenance=mode=max", "--squash", "-t", "x")
    for number in range(2):
        for extra in ((), ("--no-cache",)):
            file = tmp_path / "metadata.json"
            build(tmp_path / f"root{number}", context, *flags, *extra, f"--metadata-file={file}")
            digests.add(json.loads(file.read_text())["containerimage.digest"])
    assert len(digests) == 1


def test_a_run_for_another_processor_is_emulated(context: Path, root: Path, tmp_path: Path) -> None:
    if not BINFMT.exists():
        pytest.skip("needs qemu-user-static, registered with binfmt_misc")
    (context / "program").write_bytes(arm64_mkdir("/made"))
    (context / "Dockerfile").write_text(
        'FROM scratch\nCOPY --chmod=755 program /program\nRUN ["/program"]\n'
    )
    build(root, context, "--platform=linux/arm64", "-o", str(tmp_path / "out"))
    assert (tmp_path / "out/made").is_dir()


def test_a_run_without_an_emulator_names_what_is_missing(context: Path, root: Path) -> None:
    (context / "busybox").write_bytes(BUSYBOX.read_bytes())
    (context / "Dockerfile").write_text('FROM scratch\nCOPY busybox /\nRUN ["/busybox", "true"]\n')
    done = corten("build", "--platform=linux/riscv64", str(context), root=root)
    if Path("/proc/sys/fs/binfmt_misc/qemu-riscv64").exists():
        pytest.skip("there is one here")
    assert done.returncode != 0
    assert "Dockerfile:3: a RUN for linux/riscv64 cannot run on this machine" in done.stderr
    assert "qemu-user-static" in done.stderr
