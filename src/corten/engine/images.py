"""Use cases of images: look at them, name them, remove them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import NamedTuple

from corten.engine.host import Host
from corten.engine.lookup import find_descriptor, find_image, find_record, image_id_of
from corten.errors import Conflict, Invalid, NotFound
from corten.image.view import HistoryRow, Image, history_rows, inspect_document
from corten.oci.digest import Digest
from corten.oci.reference import Reference


class Removed(NamedTuple):
    """What `remove` did: names taken away, and the images (IDs) that are gone."""

    untagged: tuple[str, ...]
    deleted: tuple[Digest, ...]


def inspect(host: Host, text: str) -> dict[str, object]:
    """All that is known of a local image, in the shape of Docker's ``inspect``.  Raises: NotFound."""
    image = find_image(host, text)
    names, digests = names_of(host, image)
    return inspect_document(host.store, image, names, digests)


def history(host: Host, text: str) -> list[HistoryRow]:
    """How an image came about, the latest step first.  Raises: NotFound."""
    return history_rows(host.store, find_image(host, text))


def names_of(host: Host, image: Image) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """An image's familiar names with a tag, and its ``NAME@DIGEST`` in registries."""
    names = [
        Reference.parse(name).familiar()
        for record in host.store.find(image.id)
        for name in record.names
        if "@" not in name
    ]
    digests = []
    for text in host.store.repo_digests(image.id):
        repository, _, digest = text.partition("@")
        digests.append(f"{Reference.parse(repository).familiar_name()}@{digest}")
    return tuple(names), tuple(digests)


def tag(host: Host, source: str, target: str) -> Reference:
    """Give a local image one more name.  Raises: NotFound; Invalid: a digest in the new name."""
    reference = Reference.parse(target)
    if reference.digest is not None:
        raise Invalid(f"{target!r} cannot be a new name: it has a digest")
    with host.store.lease():
        host.store.tag(str(reference), find_descriptor(host, source))
    return reference


def remove(host: Host, text: str, *, force: bool = False, prune: bool = True) -> Removed:
    """Take a name away; the image goes with its last one.  An ID takes all names of the image.

    ``NAME@DIGEST`` takes all names that the image has in that repository.  The image of a dangling ID goes at once.  Content that nothing needs any more is deleted
    unless `prune` is False.  Raises: NotFound; Conflict: a container uses the
    image, or an ID has several names, and `force` is not set.
    """
    store = host.store
    image_id, names = _meant(host, text, force=force)
    last = set(_all_names(host, image_id)) <= set(names)
    if last:
        _refuse_if_used(host, image_id, text, force=force)
    used = last and bool(_used_by(host, image_id))
    for each in names:
        # In one step where it is the last: a kill leaves the name or nothing.
        store.untag(each, forget=last and not used)
    deleted: tuple[Digest, ...] = ()
    if last:
        if names and not used and not store.find(image_id):
            deleted = (image_id,)
        elif not used:
            # Another command may have given it a name again, or have been faster.
            with suppress(Conflict, NotFound):
                store.forget_image(image_id)
                deleted = (image_id,)
        if prune and deleted:
            from corten.engine.system import collect

            # Who else needs something of it holds a lease: there is nothing to wait for.
            collect(host, grace=0)
    return Removed(tuple(map(_familiar, names)), deleted)


def dangling(host: Host) -> list[Digest]:
    """IDs of the images without a name that no container uses."""
    found = {record.image_id for record in host.store.images() if not record.names}
    named = {record.image_id for record in host.store.images() if record.names}
    return sorted(image for image in found - named if not _used_by(host, image))


def _meant(host: Host, text: str, *, force: bool) -> tuple[Digest, list[str]]:
    """The ID of the image that `text` stands for, and the names that go."""
    name = _existing_name(host, text)
    if name:
        return image_id_of(host, host.store.resolve(name)), [name]
    if "@" in text:
        reference = Reference.parse(text)
        image_id = image_id_of(host, find_descriptor(host, text))
        all_names = _all_names(host, image_id)
        names = [name for name in all_names if Reference.parse(name).name == reference.name]
        if names or not all_names:
            return image_id, names
        raise NotFound(f"image {image_id.short} has no name in {reference.familiar_name()}")
    image_id = find_record(host, text).image_id
    names = _all_names(host, image_id)
    # One tag and one digest of one repository are one name to people.
    tagged = [name for name in names if "@" not in name]
    repositories = {Reference.parse(name).name for name in names}
    if max(len(tagged), len(repositories)) > 1 and not force:
        raise Conflict(
            f"image {text} has several names: {', '.join(map(_familiar, names))}",
            hint="remove the names one by one, or all with --force",
        )
    return image_id, names


def _all_names(host: Host, image_id: Digest) -> list[str]:
    return [name for found in host.store.find(image_id) for name in found.names]


def _existing_name(host: Host, text: str) -> str:
    """The canonical name, if `text` is one of the store's."""
    try:
        name = str(Reference.parse(text))
    except Invalid:
        return ""
    return name if name in host.store.names() else ""


def _familiar(name: str) -> str:
    return Reference.parse(name).familiar()


def _used_by(host: Host, image_id: Digest) -> list[str]:
    return [r.name for r in host.containers.walk() if r.image_id == image_id]


def _refuse_if_used(host: Host, image_id: Digest, text: str, *, force: bool) -> None:
    for record in host.containers.walk():
        if record.image_id != image_id:
            continue
        from corten.runtime import lifecycle
        from corten.runtime.state import Status

        running = lifecycle.state(host.runtime, record).status is Status.RUNNING
        if running or not force:
            state = "running" if running else "stopped"
            raise Conflict(
                f"image {text} is used by the {state} container {record.name}",
                hint=f"remove the container first: corten rm {'-f ' if running else ''}{record.name}",
            )


def completions(host: Host) -> Iterator[str]:
    """Familiar names of all images, for the shell's completion."""
    yield from map(_familiar, host.store.names())
