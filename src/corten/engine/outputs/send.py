"""Carrying out ``--output``: what was built goes to registries, archives, layouts and directories."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from corten.builder.imaging import BuildResult
from corten.engine.host import Host
from corten.engine.outputs.options import STDOUT, Output
from corten.errors import Unsupported
from corten.events.job import Job
from corten.oci.descriptor import Descriptor
from corten.oci.reference import Reference


def send(
    host: Host, outputs: Sequence[Output], result: BuildResult, tags: Sequence[str], job: Job
) -> Descriptor:
    """Write all outputs; returns what the last registry or archive has, else what the store has.

    `tags` are the full names that all outputs share.  What was built must be held by a lease.
    Raises: what the outputs raise: Denied, Unavailable, Conflict, Unsupported, Invalid.
    """
    sent = result.descriptor
    for output in outputs:
        names = tuple(dict.fromkeys((*tags, *output.names)))
        if output.type == "image":
            if output.push:
                sent = _push(host, output, names, job)
            continue
        where = "standard output" if output.dest == STDOUT else output.dest
        with job.step("output", f"{output.type} to {where}") as step:
            if output.type == "oci":
                sent = _oci(host, output, result, names, step)
            elif output.type == "docker":
                _docker(host, output, result, names, step)
            else:
                _tree(host, output, result, step)
    return sent


def _push(host: Host, output: Output, names: Sequence[str], job: Job) -> Descriptor:
    from corten.engine.transfer import push

    pushed = [push(host, name, job, insecure=output.insecure) for name in names]
    return pushed[-1].descriptor


def _oci(
    host: Host, output: Output, result: BuildResult, names: tuple[str, ...], job: Job
) -> Descriptor:
    from corten.content.archive_writer import write_archive
    from corten.content.archived import ArchivedImage
    from corten.content.copy import copy
    from corten.content.layout import OCILayout
    from corten.engine.archives import output as opened
    from corten.image.compress import compressed

    root = compressed(host.store, result.descriptor, job)
    if output.layout:
        layout = OCILayout(Path(output.dest))
        copy(host.store, layout, root, job)
        for name in names or ("",):
            layout.tag(Reference.parse(name).tag if name else "", root)
        return root
    with opened(output.dest) as write:
        write_archive("oci", host.store, [ArchivedImage(root, names)], write, job)
    return root


def _docker(
    host: Host, output: Output, result: BuildResult, names: tuple[str, ...], job: Job
) -> None:
    from corten.content.archived import ArchivedImage
    from corten.engine.archives import output as opened
    from corten.image.transfer import save

    if len(result.images) != 1:
        raise Unsupported(
            "a docker archive cannot hold images of several platforms",
            hint="--output type=oci can, or build for one platform",
        )
    # Attestations stay out: Docker's format has no place for them.
    image = ArchivedImage(result.images[0].descriptor, names)
    with opened(output.dest) as write:
        save(host.store, [image], write, job, "docker")


def _tree(host: Host, output: Output, result: BuildResult, job: Job) -> None:
    from corten.engine.archives import output as opened
    from corten.engine.outputs.trees import write_folder, write_tar

    split = output.split if output.split is not None else len(result.images) > 1
    if output.type == "local":
        write_folder(host, result.images, Path(output.dest), job, split=split)
        return
    with opened(output.dest) as write:
        write_tar(host, result.images, write, job, split=split)


def takes_stdout(outputs: Sequence[Output]) -> bool:
    """Whether one of them is written to standard output, so that nothing else may be."""
    return any(output.dest == STDOUT for output in outputs)
