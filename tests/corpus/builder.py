"""Builds cases with corten, as a library, and looks at what came of them."""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

import corten
from corpus import listing
from corpus.case import Case
from corpus.listing import Tree
from corpus.server import Served
from corten.builder.stacks import Stacks
from corten.config.settings import Settings
from corten.engine.step_options import StepOptions
from corten.oci.descriptor import Descriptor
from corten.oci.image_config import ImageConfig, parse_config
from corten.oci.manifest import Manifest, parse_document
from support.building import BUSYBOX, Log

BASE = """FROM scratch
COPY --chmod=755 busybox /bin/
RUN ["/bin/busybox", "--install", "-s", "/bin"]
COPY files /
"""
BASE_FILES = r"""
files/etc/passwd = root:x:0:0::/root:/bin/sh\napp:x:1000:1001::/:/bin/sh\nsolo:x:1500:1501::/:/bin/sh\n
files/etc/group = root:x:0:\napp:x:1001:\nstaff:x:50:app\n
files/srv/old = old
files/srv/sub/deep = deep
files/link -> srv
files/tmp/ 1777
"""
PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class Outcome(NamedTuple):
    """What a build gave; ``tree`` is beside the image ``base``."""

    tree: Tree
    config: ImageConfig
    warnings: tuple[str, ...] = ()


class Place(NamedTuple):
    """A case's files on disk."""

    context: Path
    dockerfile: Path
    bases: tuple[str, ...] = ()

    @property
    def number(self) -> str:
        """What no other case has."""
        return self.dockerfile.parent.name


class Builder:
    """One root, one storage driver, all cases, several at once.  ``served``: where they fetch from."""

    def __init__(self, folder: Path, driver: str, served: Served) -> None:
        self.folder = folder
        self.served = served
        environ = {"CORTEN_STORAGE_DRIVER": driver}
        self.host = corten.Host(Settings.load(environ, str(folder / "root")))
        self._count = itertools.count(1)
        self._base: tuple[tuple[Any, ...], Tree] = ((), {})

    def prepare(self) -> None:
        """Build the image ``base``."""
        files = BASE_FILES
        place = self.place(Case("base", BASE, files, {"busybox": BUSYBOX.read_bytes()}))
        config, _ = self._built(place, {"tags": ("base",)})
        self._base = (config.diff_ids, self.tree(config))

    def run(self, case: Case) -> Outcome:
        """Build the case.  Raises: CortenError."""
        place = self.place(case)
        for name, text in case.bases.items():
            path = place.dockerfile.with_name(f"{name}.dockerfile")
            path.write_text(self.filled(text.removeprefix("\n"), place))
            self._built(place._replace(dockerfile=path), {"tags": (f"{name}-{place.number}",)})
        options = {name: self._value(value, place) for name, value in case.options.items()}
        if case.steps:
            options["steps"] = StepOptions(**self._value(case.steps, place))
        config, log = self._built(place, {"build_args": case.args, **options})
        return self.outcome(config, tuple(log.warnings()))

    def outcome(self, config: ImageConfig, warnings: tuple[str, ...] = ()) -> Outcome:
        """What the image with this configuration has beside ``base``."""
        parent, base = self._base
        based = parent and config.diff_ids[: len(parent)] == parent
        return Outcome(listing.beside(self.tree(config), base if based else {}), config, warnings)

    def place(self, case: Case) -> Place:
        """The case's files, on disk."""
        folder = self.folder / "cases" / str(next(self._count))
        context = folder / "context"
        listing.make(context, listing.parse(case.context))
        for name, data in case.blobs.items():
            (context / name).write_bytes(data)
        listing.make(folder, listing.parse(case.beside))
        place = Place(context, folder / "Dockerfile", tuple(case.bases))
        text = case.dockerfile.removeprefix("\n")
        place.dockerfile.write_bytes(self.filled(text, place).encode())
        return place

    def filled(self, text: str, place: Place) -> str:
        """`text` with the names of what only this run knows filled in."""
        for name in place.bases:
            # Cases are built at the same time, and several have a "parent".
            text = re.sub(rf"\b{name}\b", f"{name}-{place.number}", text)
        text = text.replace("SERVER", self.served.address).replace("COMMIT", self.served.commit)
        return text.replace("CONTEXT", str(place.context))

    def _value(self, value: Any, place: Place) -> Any:
        if isinstance(value, str):
            return self.filled(value, place)
        if isinstance(value, tuple):
            return tuple(self._value(item, place) for item in value)
        if isinstance(value, Mapping):
            return {name: self._value(item, place) for name, item in value.items()}
        return value

    def _built(self, place: Place, options: Mapping[str, Any]) -> tuple[ImageConfig, Log]:
        log = Log()
        fields = {"context": place.context, "dockerfile": str(place.dockerfile), **options}
        result = corten.build(self.host, corten.BuildOptions(**fields), log.job())
        return self.read(result.descriptor), log

    def read(self, descriptor: Descriptor) -> ImageConfig:
        """An image's configuration."""
        with self.host.store.open(descriptor) as file:
            manifest = parse_document(file.read())
        assert isinstance(manifest, Manifest)
        with self.host.store.open(manifest.config) as file:
            return parse_config(file.read())

    def tree(self, config: ImageConfig) -> Tree:
        """All files of an image, through the storage driver."""
        if not config.diff_ids:
            return {}
        stacks = Stacks(self.host.store, lambda: self.host.snapshotter, self.host.root / "cache")
        with stacks.view(config.diff_ids, "the image") as tree:
            return listing.read(Path(f"/proc/self/fd/{tree.fd}"))


def told(case: Case, got: Outcome) -> dict[str, Any]:
    """What the case asks of `got`, in the case's own words."""
    found: dict[str, Any] = {}
    plain = msgspec.json.decode(msgspec.json.encode(got.config.config))
    if case.tree is not None:
        found["tree"] = listing.lines(got.tree, listing.parse(case.tree))
    if case.env is not None:
        found["env"] = {
            name: value
            for name, _, value in (entry.partition("=") for entry in got.config.config.env)
            if f"{name}={value}" != PATH or "PATH" in case.env
        }
    if case.config is not None:
        found["config"] = {name: plain.get(name) for name in case.config}
    if case.author is not None:
        found["author"] = got.config.author
    if case.history:
        last = [line.created_by for line in got.config.history[-len(case.history) :]]
        found["history"] = [
            part if part in line else line for part, line in zip(case.history, last, strict=False)
        ]
    return found


def expected(case: Case) -> Tree:
    """The case's tree, with the blobs that it names."""
    blobs = {f"BLOB:{name}": data for name, data in case.blobs.items()}
    blobs["BUSYBOX"] = BUSYBOX.read_bytes()
    return {
        path: msgspec.structs.replace(
            thing, content=blobs.get(thing.content.decode(), thing.content)
        )
        for path, thing in listing.parse(case.tree or "").items()
    }


def asked(case: Case) -> dict[str, Any]:
    """What the case expects, in the shape of :func:`told`."""
    wanted: dict[str, Any] = {}
    if case.tree is not None:
        tree = expected(case)
        wanted["tree"] = listing.lines(tree, tree)
    if case.env is not None:
        wanted["env"] = dict(case.env)
    if case.config is not None:
        wanted["config"] = dict(case.config)
    if case.author is not None:
        wanted["author"] = case.author
    if case.history:
        wanted["history"] = list(case.history)
    return wanted
