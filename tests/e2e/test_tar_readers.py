"""What corten writes is the same tree to GNU tar, bsdtar, docker and podman, as is a second reading."""

from __future__ import annotations

import json
import os
import shutil
import signal
import struct
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from corten.archive.entry import Entry
from corten.archive.tar_writer import TarWriter
from corten.errors import Conflict
from corten.oci.digest import Digest
from corten.snapshot.extraction import extract
from corten.snapshot.feeding import read_tree
from corten.snapshot.mounting import mounted
from corten.snapshot.probing import choose
from corten.snapshot.protocols import Mount
from corten.system.mount import unmount
from support.archives import config_of, manifest_of, write_tar
from support.tars import Look, directory, file, look, pack, symlink
from support.tars import write_tar as keep_tar

pytestmark = [pytest.mark.root, pytest.mark.e2e]

NS = 1_600_000_000_123_456_789
NONE = 0xFFFFFFFF
ACL = struct.pack("<I", 2) + b"".join(
    struct.pack("<HHI", *entry)
    for entry in (
        (1, 6, NONE),
        (2, 4, 4000),
        (4, 4, NONE),
        (8, 7, 77),
        (16, 5, NONE),
        (32, 0, NONE),
    )
)
CAPABILITY = bytes.fromhex("0100000200040000000000000000000000000000")
HOLES = 300 * 10**6
OWNED = {"mode": 0o6711, "uid": 4_000_000_000, "gid": 2_097_152, "mtime_ns": NS}
CAPABLE = {"mode": 0o755, "mtime_ns": NS, "xattrs": {"security.capability": CAPABILITY}}
SPLIT = b"files/" + b"s" * 93
"""With the slash behind it, it fills a header's name: what follows is cut off there."""

MEMBERS: tuple[Entry | tuple[Entry, bytes], ...] = (
    directory(b"dirs", 0o1777, mtime_ns=NS),
    directory(b"dirs/acl", 0o750, mtime_ns=NS, xattrs={"system.posix_acl_default": ACL}),
    directory(b"dirs/" + b"d" * 120, 0o2755, mtime_ns=NS + 1),
    directory(b"files", 0o755, mtime_ns=NS),
    file(b"files/acl", b"a", mode=0o650, mtime_ns=NS, xattrs={"system.posix_acl_access": ACL}),
    file(b"files/attributes", b"b", mtime_ns=NS, xattrs={"user.\xfc": b"\0\xff\n=", "user.a": b""}),
    file(b"files/equals", b"e", mtime_ns=NS, xattrs={"user.a=%3D": b"escaped"}),
    file(b"files/before-1970", b"old", mtime_ns=-3_000_000_000),
    file(b"files/capability", b"c", **CAPABLE),
    file(b"files/later", b"2242", mtime_ns=0o100000000000 * 10**9 + 5),
    file(b"files/line\nbreak", b"n", mtime_ns=NS),
    file(b"files/owned", b"o", **OWNED),
    file(b"files/" + b"l" * 250, b"long", mtime_ns=NS + 9),
    directory(SPLIT, mtime_ns=NS),
    file(SPLIT + b"/" + b"t" * 200, b"cut at a slash", mtime_ns=NS),
    file(b"files/\xff\xfe" + b"\xe4" * 120, b"not utf-8, in a record", mtime_ns=NS),
    file(b"files/\xff\xfe", b"not utf-8", mtime_ns=NS),
    # Engines apply a link's metadata to the file, so they are the file's.
    Entry(b"hard", "link", linkname=b"files/owned", **OWNED),  # type: ignore[arg-type]
    Entry(b"hard-capable", "link", linkname=b"files/capability", **CAPABLE),  # type: ignore[arg-type]
    Entry(b"hard-long", "link", linkname=b"files/" + b"l" * 250, mtime_ns=NS + 9),
    Entry(b"pipe", "fifo", 0o600, mtime_ns=NS),
    Entry(b"sda1", "block", 0o660, gid=6, mtime_ns=NS, major=259, minor=1_048_575),
    symlink(b"sym", b"files/" + b"t" * 200),
    symlink(b"sym\xff", b"\xe4" * 150),
    Entry(b"zero", "char", 0o666, mtime_ns=NS, major=1, minor=5),
)


@pytest.fixture(scope="module")
def tar(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All kinds of members, a sparse one among them."""
    place = tmp_path_factory.mktemp("written")
    with (place / "holes").open("w+b") as holes, (place / "tar").open("wb") as out:
        holes.write(b"start")
        holes.truncate(HOLES)
        os.pwrite(holes.fileno(), b"middle", 200_000_000)
        writer = TarWriter(out.write)
        for member in MEMBERS:
            entry, data = member if isinstance(member, tuple) else (member, None)
            writer.add(entry, data)
        stretches = ((0, 4096), (199_999_488, 4096))
        sparse = Entry(b"sparse/" + b"h" * 200, size=HOLES, mtime_ns=NS, sparse=stretches)
        writer.add(directory(b"sparse", mtime_ns=NS))
        writer.add(sparse, holes.fileno())
        writer.finish()
    return place / "tar"


@pytest.fixture(scope="module")
def wanted(tar: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[bytes, Look]:
    """What corten itself extracts."""
    place = tmp_path_factory.mktemp("corten")
    extract(read_tree(tar), tar, place)
    found = look(place)
    assert len(found) == len(MEMBERS) + 2
    return found


def test_gnu_tar_extracts_the_same_tree(
    tar: Path, wanted: dict[bytes, Look], tmp_path: Path
) -> None:
    options = ["--xattrs", "--xattrs-include=*", "--acls", "--numeric-owner", "-p"]
    # It does not know the record that tells it of names that are no UTF-8, and says so.
    quiet = ["--warning=no-timestamp", "--warning=no-unknown-keyword"]
    done = subprocess.run(
        ["tar", "-x", *options, *quiet, "-f", tar, "-C", tmp_path], capture_output=True, check=True
    )
    assert done.stderr == b""
    assert look(tmp_path) == wanted


def test_gnu_tar_takes_lists_from_their_text_alone(
    tar: Path, wanted: dict[bytes, Look], tmp_path: Path
) -> None:
    subprocess.run(["tar", "-x", "--acls", "-p", "-f", tar, "-C", tmp_path], check=True)
    assert os.getxattr(tmp_path / "files/acl", "system.posix_acl_access") == ACL
    assert os.getxattr(tmp_path / "dirs/acl", "system.posix_acl_default") == ACL


def test_bsdtar_extracts_the_same_tree(
    tar: Path, wanted: dict[bytes, Look], tmp_path: Path
) -> None:
    options = ["--xattrs", "--acls", "--numeric-owner", "-p"]
    done = subprocess.run(
        ["bsdtar", "-x", *options, "-f", tar, "-C", tmp_path], capture_output=True, check=True
    )
    assert done.stderr == b""
    found = look(tmp_path)
    # It does not undo what it itself does to such an attribute's name.
    assert found.pop(b"files/equals")[:7] == wanted[b"files/equals"][:7]
    assert found == {path: seen for path, seen in wanted.items() if path != b"files/equals"}


@pytest.mark.parametrize("program", ["tar", "bsdtar"])
def test_size_beyond_eight_gibibytes_is_listed(program: str, tmp_path: Path) -> None:
    size = 9 * 2**30 + 1
    out = bytearray()
    writer = TarWriter(out.extend)
    with (tmp_path / "short").open("w+b") as short, pytest.raises(Conflict):
        writer.add(Entry(b"huge", size=size), short.fileno())
    writer.finish()
    with (tmp_path / "tar").open("wb") as file:
        file.write(out[:-1024])
        file.seek(-size % 512 + size, os.SEEK_CUR)  # the data: a hole
        file.write(pack(Entry(b"after")))
    done = subprocess.run([program, "-tvf", tmp_path / "tar"], capture_output=True, check=True)
    lines = done.stdout.decode().splitlines()
    assert [line.split()[-1] for line in lines] == ["huge", "after"]
    assert str(size) in lines[0]


@pytest.fixture(scope="module")
def docker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[str]]:
    """The client's command, for a daemon of its own."""
    client = Path("/usr/bin/docker")
    if shutil.which("dockerd") is None or not client.exists():
        pytest.skip("dockerd is not installed")
    place = tmp_path_factory.mktemp("docker")
    address = f"unix://{place}/s"
    command = [str(client), "-H", address]
    with (place / "log").open("wb") as log:
        server = subprocess.Popen(
            ["dockerd", "--data-root", str(place / "data"), "--exec-root", str(place / "exec"),
             "-p", str(place / "pid"), "-H", address, "--bridge=none", "--iptables=false",
             "--storage-driver=overlay2"],
            stdout=log, stderr=log,
        )  # fmt: skip
    try:
        deadline = time.monotonic() + 60
        while subprocess.run([*command, "version"], capture_output=True, check=False).returncode:
            if time.monotonic() > deadline or server.poll() is not None:
                pytest.skip(f"dockerd does not start: {(place / 'log').read_text()[-500:]}")
            time.sleep(0.2)
        yield command
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(timeout=60)


def _as_go_reads(wanted: dict[bytes, Look]) -> dict[bytes, Look]:
    """`wanted` with what docker and podman make of three things, whoever wrote the tar.

    Times before 1970 become 1970, attributes without a value go (to Go's archive/tar an
    empty record is none), attribute names stay as GNU tar escapes them.
    """
    read = dict(wanted)
    for path, fields in wanted.items():
        when = max(0, int(str(fields[5])))
        xattrs = []
        for name, value in fields[7]:  # type: ignore[attr-defined]
            if value:
                xattrs.append((name.replace("%", "%25").replace("=", "%3D"), value))
        read[path] = (*fields[:5], when, fields[6], tuple(xattrs), *fields[8:])
    return read


def _run(command: list[str], *arguments: str) -> str:
    done = subprocess.run([*command, *arguments], capture_output=True, check=False, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_docker_imports_the_same_tree(
    docker: list[str], tar: Path, wanted: dict[bytes, Look]
) -> None:
    image = _run(docker, "import", str(tar))
    data = json.loads(_run(docker, "image", "inspect", image))[0]["GraphDriver"]["Data"]
    assert look(Path(data["UpperDir"])) == _as_go_reads(wanted)


@pytest.fixture
def podman(tmp_path: Path) -> Iterator[list[str]]:
    """The command, with a storage of its own."""
    if shutil.which("podman") is None:
        pytest.skip("podman is not installed")
    storage = tmp_path / "podman"
    with tempfile.TemporaryDirectory(prefix="podman-") as run:  # it wants a short path here
        try:
            place = ["--root", str(storage), "--runroot", run, "--storage-driver", "overlay"]
            yield ["podman", *place]
        finally:
            if os.path.ismount(storage / "overlay"):
                unmount(str(storage / "overlay"), detach=True)


def test_podman_imports_the_same_tree(
    podman: list[str], tar: Path, wanted: dict[bytes, Look]
) -> None:
    image = _run(podman, "import", "-q", str(tar))
    data = json.loads(_run(podman, "image", "inspect", image))[0]["GraphDriver"]["Data"]
    assert look(Path(data["UpperDir"])) == _as_go_reads(wanted)


LOWER = pack(
    directory(b"opaque", mtime_ns=NS),
    file(b"opaque/old", b"o"),
    directory(b"merged", mtime_ns=NS),
    file(b"merged/gone", b"g"),
    file(b"merged/stays", b"s", mtime_ns=NS),
    file(b"gone", b"g"),
    file(b"kind", b"a file"),
)
UPPER = pack(
    file(b".wh.gone"),
    directory(b"kind", 0o711, mtime_ns=NS),
    file(b"kind/inner", b"i", mtime_ns=NS),
    directory(b"merged", 0o700, mtime_ns=NS),
    file(b"merged/.wh.gone"),
    directory(b"opaque", 0o750, mtime_ns=NS + 1),
    file(b"opaque/.wh..wh..opq"),
    file(b"opaque/new", b"n" * 5000, uid=100_000, mtime_ns=NS),
)


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """An image of two layers, as docker save writes it."""
    return write_tar(
        tmp_path / "image.tar",
        ("config.json", config_of(LOWER, UPPER)),
        ("1.tar", LOWER),
        ("2.tar", UPPER),
        ("manifest.json", manifest_of(layers=("1.tar", "2.tar"))),
    )


def _stacked(command: list[str]) -> dict[bytes, Look]:
    """The tree of the image in an engine's own directories."""
    data = json.loads(_run(command, "image", "inspect", "example/thing:1"))[0]["GraphDriver"][
        "Data"
    ]
    lower = f"lowerdir+={data['UpperDir']}", f"lowerdir+={data['LowerDir']}"
    with mounted([Mount("overlay", "overlay", "", ("ro", *lower))]) as tree:
        return look(tree)


@pytest.fixture
def stack(tmp_path: Path) -> dict[bytes, Look]:
    """The tree of the same layers in corten."""
    snapshotter = choose(tmp_path / "corten")
    layers: list[Digest] = []
    for data in (LOWER, UPPER):
        diff_id, path = keep_tar(tmp_path / f"{len(layers)}.tar", data)
        snapshotter.apply(diff_id, path)
        layers.append(diff_id)
    with mounted(snapshotter.prepare("stack", layers, readonly=True)) as tree:
        found = look(tree)
    assert set(found) == {
        b"kind", b"kind/inner", b"merged", b"merged/stays", b"opaque", b"opaque/new",
    }  # fmt: skip
    return found


def test_docker_sees_the_same_stack_of_layers(
    docker: list[str], archive: Path, stack: dict[bytes, Look]
) -> None:
    _run(docker, "load", "-q", "-i", str(archive))
    assert _stacked(docker) == stack


def test_podman_sees_the_same_stack_of_layers(
    podman: list[str], archive: Path, stack: dict[bytes, Look]
) -> None:
    _run(podman, "load", "-q", "-i", str(archive))
    assert _stacked(podman) == stack
