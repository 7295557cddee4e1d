"""From what a user typed to an image of this host."""

from __future__ import annotations

from corten.content.claims import claimed
from corten.content.graph import read_document
from corten.content.local import ImageRecord
from corten.content.summary import image_manifest
from corten.engine.host import Host
from corten.errors import Conflict, Denied, Invalid, NotFound, Unavailable, Usage
from corten.events.job import Job
from corten.image.view import Image, load_image
from corten.oci import media
from corten.oci.descriptor import Descriptor
from corten.oci.digest import Digest
from corten.oci.manifest import parse_document
from corten.oci.platform import Platform
from corten.oci.reference import DOCKER_HUB, Reference
from corten.snapshot.protocols import Merges

_TRIES = 2
_FEW_LAYERS = 3
"""As many layers start as fast one by one; a merged index pays from about this many on (ADR 0008)."""
PULL_POLICIES = ("missing", "always", "never")


class LayerMissing(NotFound):
    """An image is here, but not all of it.

    ``pullable`` is the name under which a registry has it, empty where none is known to.
    """

    def __init__(self, host: Host, image: Image, layer: Digest) -> None:
        found = [name for record in host.store.find(image.id) for name in record.names]
        names = [Reference.parse(name) for name in found]
        known = {text.partition("@")[0] for text in host.store.repo_digests(image.id)}
        self.pullable = next((n.familiar() for n in names if n.name in known), "")
        called = names[0].familiar() if names else image.id.short
        super().__init__(
            f"layer {layer.short} of the image {called} is not here",
            hint=f"fetch it again: corten pull {self.pullable}"
            if self.pullable
            else f"build or load the image again, or remove it: corten rmi {called}",
        )


def find_descriptor(host: Host, text: str) -> Descriptor:
    """The root that a name, digest, image ID or beginning of one stands for here.

    A name goes before an ID of the same letters.  Raises: NotFound; Conflict: an ambiguous ID.
    """
    try:
        return host.store.resolve(str(Reference.parse(text)))
    except NotFound:
        pass
    except Invalid:
        # It may still be an ID: 64 hex digits are not a name.
        if not host.store.find(text):
            raise
    return find_record(host, text).descriptor


def find_record(host: Host, text: str) -> ImageRecord:
    """The image whose ID is or begins with `text`.  Raises: NotFound, Conflict."""
    found = host.store.find(text)
    if not found:
        raise NotFound(
            f"no image {text!r} here",
            hint=f"corten images lists all; corten pull {text} fetches it",
        )
    if len({record.image_id for record in found}) > 1:
        raise Conflict(
            f"{text!r} is the beginning of {len(found)} image IDs", hint="give more digits"
        )
    return found[0]


def find_image(host: Host, text: str, platform: Platform | None = None) -> Image:
    """The local image that `text` stands for.

    Without `platform` one for another than this host's will do if there is none for that.
    Raises: NotFound, Conflict, Invalid.
    """
    root = find_descriptor(host, text)
    if platform is None:
        root = image_manifest(host.store.blobs, root, host.platform)
    return load_image(host.store, root, platform or host.platform)


def image_id_of(host: Host, root: Descriptor) -> Digest:
    """The ID of the image that a root of the store stands for, whatever it holds.

    Raises: NotFound: it is none of the store's images.
    """
    for record in host.store.images():
        if record.descriptor.digest == root.digest:
            return record.image_id
    raise NotFound(f"no image {root.digest} here", hint="corten images lists all")


def image_for(
    host: Host,
    text: str,
    job: Job,
    *,
    pull: str = "missing",
    platform: str = "",
    apply: bool = True,
) -> Image:
    """The image to run or build on, pulled if need be.

    Its layers are ready to be mounted unless `apply` is False (a build does it step by step).
    Under a lease of the store they stay, though the image were removed meanwhile.

    Raises: NotFound: neither here nor (unless `pull` is ``never``) in its registry.
    """
    if pull not in PULL_POLICIES:
        raise Usage(f"unknown pull policy {pull!r}", hint=" or ".join(PULL_POLICIES))
    wanted = Platform.parse(platform) if platform else host.platform
    lacking = f"no image {text!r} here"
    if pull != "always":
        try:
            image = find_image(host, text, wanted)
            hold(host, image)
        except NotFound as error:
            if pull == "never":
                raise
            if isinstance(error, LayerMissing):
                if not error.pullable or str(Reference.parse(error.pullable)) != _canonical(text):
                    raise  # what a registry has under this name, if anything, is another image
                lacking = error.message
        else:
            if apply:
                ensure_applied(host, image, job)
            return image
    from corten.engine.transfer import pull as pull_image

    try:
        pulled = pull_image(host, text, job, platform=platform)
    except (NotFound, Denied, Unavailable) as error:
        if pull != "always":
            error.message = f"{lacking}, and it cannot be pulled: {error.message}"
            if lies_on_docker_hub(text):
                error.hint = f"{text} means {_canonical(text)}; corten images lists what is here"
        raise
    return load_image(host.store, pulled.descriptor, wanted)


def lies_on_docker_hub(text: str) -> bool:
    """Whether a name says no registry, so that it means Docker Hub, which few have in mind."""
    return text.partition("/")[0] != DOCKER_HUB and _canonical(text).startswith(f"{DOCKER_HUB}/")


def _canonical(text: str) -> str:
    try:
        return str(Reference.parse(text))
    except Invalid:
        return ""  # an ID


def check_whole(host: Host, root: Descriptor) -> None:
    """Raises: NotFound: `root` lists images that are not here, so that all of it cannot go elsewhere."""
    if root.media_type not in media.INDEXES:
        return
    index = parse_document(read_document(host.store, root), root.media_type)
    absent = [child for child in index.children if not host.store.blobs.has(child)]
    if absent:
        platforms = ", ".join(str(child.platform or child.digest.short) for child in absent)
        raise NotFound(
            f"of {root.digest.short} not all images are here: {platforms} missing",
            hint="pull it for those platforms, or choose one that is here with --platform",
        )


def hold(host: Host, image: Image) -> None:
    """Let all that the image consists of count as used now: what a collection spares under a lease.

    Raises: LayerMissing.
    """
    blobs = host.store.blobs
    for layer, diff_id in zip(image.manifest.layers, image.config.diff_ids, strict=False):
        # From either of the two the driver's form can be made again.
        here, tar = blobs.touch(layer.digest), blobs.touch(diff_id)
        if not here and not (tar and blobs.size_or_none(diff_id) is not None):
            raise LayerMissing(host, image, layer.digest)


def prepare(host: Host, key: str, image: Image, job: Job) -> None:
    """A snapshot over the image's layers, which are applied if need be.

    Raises: NotFound: they are not here; Conflict: the key is in use.
    """
    layers = image.config.diff_ids
    for _ in range(_TRIES):
        try:
            if len(layers) > _FEW_LAYERS and isinstance(host.snapshotter, Merges):
                host.snapshotter.merge(layers)
            host.snapshotter.prepare(key, layers)
        except NotFound:
            # A collection that began before our lease took one from the driver; its tar is here.
            ensure_applied(host, image, job)
        else:
            return
    host.snapshotter.prepare(key, layers)


def ensure_applied(host: Host, image: Image, job: Job) -> None:
    """Make the image's layers mountable by the driver in use, if they are not (another driver's).

    Raises: NotFound: a layer is not here.
    """
    if all(map(host.snapshotter.has, image.config.diff_ids)):
        return
    from corten.snapshot.unpacking import UnpackingSink

    sink = UnpackingSink(host.store, host.snapshotter, host.settings.layer_limit)
    for layer, diff_id in zip(image.manifest.layers, image.config.diff_ids, strict=True):
        if host.snapshotter.has(diff_id):
            continue
        with claimed(sink, layer, job):
            if not sink.has(layer):
                raise LayerMissing(host, image, layer.digest)
