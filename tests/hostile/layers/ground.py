"""Where hostile layers are tried: a root inside a directory that must not change, and the ways in."""

from __future__ import annotations

import gc
import hashlib
import io
import json
import os
import tarfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path

from corten.archive.compression import MAGIC, detect, inflater
from corten.config.settings import Settings
from corten.engine import archives, transfer
from corten.engine.build import BuildOptions, build
from corten.engine.host import Host
from corten.engine.images import remove
from corten.engine.system import collect
from corten.errors import CortenError
from corten.events.job import Job
from corten.image.view import load_image
from corten.oci import media, platform
from corten.oci.descriptor import Descriptor, describe
from corten.oci.digest import Digest
from corten.oci.manifest import build_manifest
from corten.snapshot.mounting import mounted
from corten.snapshot.removal import remove_tree
from support.erofs_utils import assert_accepted
from support.registry_server import ServerProcess
from support.tars import file, link, pack, write_tar

_TYPES = {"": media.OCI_LAYER, "zstd": media.OCI_LAYER_ZSTD}
_NAME = "hostile/image:1"
_BUILT = "docker.io/hostile/built:1"


class Ground:
    """A host, and a canary beside its root."""

    def __init__(self, outside: Path, driver: str, server: ServerProcess) -> None:
        self.outside = outside
        self.driver = driver
        self.canary = outside / "canary"
        (self.canary / "directory").mkdir(parents=True)
        (self.canary / "file").write_bytes(b"untouched")
        (self.canary / "directory/file").write_bytes(b"untouched")
        (self.canary / "link").symlink_to("file")
        (outside / "passwd").write_bytes(b"root:x:0:0")
        (outside / "work").mkdir()
        self.host = Host(Settings(root=outside / "root", storage_driver=driver))
        self.server = server
        _warm(self)
        self._before: dict[str, object] = {}

    def settle(self) -> None:
        """From now on all must stay as it is."""
        gc.collect()  # what earlier tests left to it must not go in the middle of a case
        self._before = self.seen()

    @property
    def aim(self) -> bytes:
        """The canary's absolute path."""
        return os.fsencode(self.canary)

    def scratch(self, name: str) -> Path:
        """A path for a file that is no part of the canary."""
        return self.outside / "work" / name

    def seen(self) -> dict[str, object]:
        """All that must be as it was when a layer was tried and everything was given back."""
        canary = [self.canary, *sorted(self.canary.rglob("*")), self.outside / "passwd"]
        return {
            "canary": [_state(path) for path in canary],
            "around": sorted(path.name for path in self.outside.iterdir()),
            "host": [_state(Path(path)) for path in ("/etc/passwd", "/etc/group", "/etc")],
            "root": self.listing(),
            "mounts": [
                line
                for line in Path("/proc/self/mountinfo").read_text().splitlines()
                if str(self.outside) in line
            ],
            "threads": sorted(thread.name for thread in threading.enumerate()),
            "children": Path(f"/proc/self/task/{os.getpid()}/children").read_text(),
            "descriptors": _descriptors(),
        }

    def listing(self) -> list[tuple[str, int]]:
        """All files of the root and their sizes, without the databases."""
        root = self.outside / "root"
        return sorted(
            (str(path.relative_to(root)), path.lstat().st_size if path.is_file() else 0)
            for path in root.rglob("*")
            if ".db" not in path.name
        )

    def close(self) -> None:
        """Close the store, and remove what may be too deep for others to remove."""
        self.host.close()
        remove_tree(self.outside / "root")

    def differences(self) -> dict[str, object]:
        """What is not as it was: at once what is half made, then what stays when all is given back."""
        left: list[object] = list(self.left())
        for record in self.host.store.images():
            remove(self.host, record.image_id, force=True, prune=False)
        collect(self.host, grace=0, cache=True)
        if _descriptors() != self._before["descriptors"]:
            gc.collect()  # errors hold on to frames, and those to files; it takes its time
        found: dict[str, object] = {"half made": left} if left else {}
        for what, now in self.seen().items():
            before = self._before[what]
            if now != before and isinstance(now, list) and isinstance(before, list):
                gone = [("-", each) for each in before if each not in now]
                found[what] = gone + [("+", each) for each in now if each not in before]
            elif now != before:
                found[what] = (before, now)
        if found:
            self.settle()  # so that only this case fails
        return found

    def left(self) -> list[Path]:
        """What is half made: pieces of blobs, drafts of layers and snapshots."""
        root = self.outside / "root"
        partial = [path for path in root.glob("content/ingest/*") if path.suffix != ".lock"]
        return [*partial, *root.glob("layers/*/.new-*"), *root.glob("snapshots/.new-*")]

    def build(self, dockerfile: str, data: bytes = b"") -> Descriptor:
        """Build an image; ``archive`` in the context holds `data`."""
        context = self.scratch("context")
        context.mkdir()
        try:
            (context / "archive").write_bytes(data)
            (context / "Dockerfile").write_text(dockerfile)
            options = BuildOptions(context=context, tags=(_BUILT,))
            return build(self.host, options, Job()).descriptor
        finally:
            for path in context.iterdir():
                path.unlink()
            context.rmdir()

    @contextmanager
    def tree(self, diff_ids: Sequence[Digest]) -> Iterator[Path]:
        """The layers, mounted read-only."""
        snapshotter = self.host.snapshotter
        try:
            mounts = snapshotter.prepare("tried", diff_ids, readonly=True)
            assert_accepted(self.outside / "root")
            with mounted(mounts) as tree:
                yield tree
        finally:
            snapshotter.remove("tried")

    @contextmanager
    def image(self, root: Descriptor) -> Iterator[Path]:
        """The files of an image of the store."""
        image = load_image(self.host.store, root, self.host.platform)
        with self.tree(image.config.diff_ids) as tree:
            yield tree


def _descriptors() -> int:
    """How many descriptors this process has open."""
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208


def _state(path: Path) -> tuple[object, ...]:
    status = path.lstat()
    content = hashlib.sha256(path.read_bytes()).digest() if path.is_file() else b""
    return (
        str(path),
        content,
        status.st_mode,
        status.st_uid,
        status.st_gid,
        status.st_nlink,
        status.st_ino,
        status.st_size,
        status.st_mtime_ns,
        status.st_ctime_ns,
        os.listxattr(path, follow_symlinks=False),
    )


def _warm(ground: Ground) -> None:
    """Make what a first use makes and keeps: locks, the skeleton, the cache's database."""
    for way in WAYS.values():
        with way(ground, pack(file(b"a", b"x"))):
            pass
    with suppress(CortenError), applied(ground, pack(link(b"a", b"b"))):
        pass  # a stack is looked for
    for kept in ("work", "view"):
        (ground.outside / "root/cache" / kept).mkdir(exist_ok=True)
    for record in ground.host.store.images():
        remove(ground.host, record.image_id, force=True, prune=False)
    collect(ground.host, grace=0, cache=True)


@contextmanager
def applied(ground: Ground, data: bytes) -> Iterator[Path]:
    """The driver is given the layer's tar as a file."""
    diff_id, tar = write_tar(ground.scratch("layer.tar"), plain(data))
    try:
        ground.host.snapshotter.apply(diff_id, tar)
        with ground.tree([diff_id]) as tree:
            yield tree
    finally:
        tar.unlink()


@contextmanager
def pulled(ground: Ground, data: bytes) -> Iterator[Path]:
    """The layer comes from a registry."""
    name = f"hostile/layer{hashlib.sha256(data).hexdigest()[:16]}"
    image = _Image(data)
    for blob in (data, image.config):
        url = f"/v2/{name}/blobs/uploads/?digest={Digest.of(blob)}"
        head = {"Content-Type": media.OCTET_STREAM, "Content-Length": str(len(blob))}
        assert ground.server.request("POST", url, blob, head).status == 201
    head = {"Content-Type": media.OCI_MANIFEST}
    url = f"/v2/{name}/manifests/1"
    assert ground.server.request("PUT", url, image.manifest, head).status == 201
    pulled = transfer.pull(ground.host, f"{ground.server.host}/{name}:1", Job())
    with ground.image(pulled.descriptor) as tree:
        yield tree


@contextmanager
def loaded_docker(ground: Ground, data: bytes) -> Iterator[Path]:
    """The layer comes in what `docker save` writes."""
    image = _Image(data)
    listed = json.dumps([{"Config": "config", "RepoTags": [_NAME], "Layers": ["layer.tar"]}])
    files = {"manifest.json": listed.encode(), "config": image.config, "layer.tar": data}
    with _load(ground, files) as tree:
        yield tree


@contextmanager
def loaded_layout(ground: Ground, data: bytes) -> Iterator[Path]:
    """The layer comes in a tar of an OCI image layout."""
    image = _Image(data)
    listed = {
        "mediaType": media.OCI_MANIFEST,
        "digest": image.root.digest,
        "size": image.root.size,
        "annotations": {"io.containerd.image.name": f"docker.io/{_NAME}"},
    }
    files = {
        "oci-layout": b'{"imageLayoutVersion":"1.0.0"}',
        "index.json": json.dumps({"schemaVersion": 2, "manifests": [listed]}).encode(),
    }
    for blob in (data, image.config, image.manifest):
        files[f"blobs/sha256/{Digest.of(blob).encoded}"] = blob
    with _load(ground, files) as tree:
        yield tree


@contextmanager
def added(ground: Ground, data: bytes) -> Iterator[Path]:
    """A build unpacks the bytes by ADD."""
    with ground.image(ground.build("FROM scratch\nADD archive /\n", data)) as tree:
        yield tree


Way = Callable[[Ground, bytes], AbstractContextManager[Path]]
"""Tries a layer; the block gets the mounted tree.  Raises what refuses the layer."""

WAYS: dict[str, Way] = {
    "driver": applied,
    "pull": pulled,
    "load": loaded_docker,
    "load-layout": loaded_layout,
    "add": added,
}


def plain(data: bytes) -> bytes:
    """`data` inflated, if it is compressed.  Raises: Corrupt."""
    out = bytearray()
    stream = inflater(detect(data[:MAGIC]), out.extend)
    stream.feed(data)
    stream.finish()
    return bytes(out)


class _Image:
    """An image of one layer, as its documents."""

    def __init__(self, data: bytes) -> None:
        try:
            diff_id = Digest.of(plain(data))
        except CortenError:
            diff_id = Digest.of(data)
        self.config = json.dumps(
            {
                "architecture": platform.normalized("linux", os.uname().machine).architecture,
                "os": "linux",
                "rootfs": {"type": "layers", "diff_ids": [diff_id]},
            }
        ).encode()
        layer = describe(data, _TYPES.get(detect(data[:MAGIC]), media.OCI_LAYER_GZIP))
        self.root, self.manifest = build_manifest(describe(self.config, media.OCI_CONFIG), [layer])


@contextmanager
def _load(ground: Ground, files: dict[str, bytes]) -> Iterator[Path]:
    archive = ground.scratch("archive.tar")
    with tarfile.open(archive, "w") as tar:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    try:
        with archive.open("rb") as file:
            (loaded,) = archives.load(ground.host, file, Job())
        with ground.image(loaded.descriptor) as tree:
            yield tree
    finally:
        archive.unlink()
