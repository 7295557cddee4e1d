"""Chain ids: the name of a stack of layers, where a diff id names one layer alone."""

from __future__ import annotations

from collections.abc import Sequence

from corten.oci.digest import Digest


def chain_id(diff_ids: Sequence[Digest]) -> Digest:
    """The name of the stack of `diff_ids`, lowest first; at least one.

    Spec: OCI image, config.md, "Layer ChainID".  Raises: ValueError: there is none.
    """
    if not diff_ids:
        raise ValueError("a stack without layers has no chain id")
    chain = diff_ids[0]
    for diff_id in diff_ids[1:]:
        chain = Digest.of(f"{chain} {diff_id}".encode())
    return chain
