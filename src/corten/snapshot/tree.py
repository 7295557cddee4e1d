"""The tree that a layer's members make: what extracting them would leave, without extracting.

Every driver takes a layer through this model, so all agree on what it means, and
a hostile member is refused before anything is written.  Paths are resolved
inside the model only: no name and no symlink can reach the host.

Rules: a later member replaces an earlier one; a directory on a directory only
sets its metadata; a hard link names what its target is at that moment; missing
parents appear, *implied*: with mode 0755, owned by root, unless a lower layer has them; a parent that is a symlink of the
same layer is followed as if the layer's root were ``/``.  Whiteouts hide what
lower layers have, never what this layer has.  A hard link to what this layer does
not have is *foreign*: it names a file of the layers below, which are not known here.
Spec: OCI image, layer.md, "Applying Changesets" and "Whiteouts".
"""

from __future__ import annotations

import msgspec

from corten.archive.entry import Entry, show
from corten.errors import Invalid, Unsupported
from corten.snapshot.implied import MAX_IMPLIED, MAX_IMPLIED_SIZE, Implied
from corten.snapshot.links import (
    MAX_LINKS,
    MAX_LINKS_SIZE,
    MAX_STEPS,
    ForeignLink,
    Steps,
    confined,
)
from corten.snapshot.members import (
    AUFS_MARK,
    NAME_MAX,
    OPAQUE_MARK,
    PATH_MAX,
    WHITEOUT_PREFIX,
    check_part,
    checked_xattrs,
    clean,
)

MAX_MEMBERS = 2_000_000
"""The most members that a layer may have."""
MAX_WEIGHT = 256 * 1024 * 1024
"""The most bytes that names, targets and attributes of a layer may have together."""
MAX_SPARSE = 1 << 40
"""The most bytes that the sparse files of a layer may be large together, holes included."""
_HOPS = 40


class Node(msgspec.Struct, gc=False):
    """A file of the tree; two names for one node are a hard link.

    ``offset`` is where its data begins in the tar.  ``children`` is None for what
    is not a directory; ``opaque`` one shows nothing of lower layers; one that is
    ``hiding`` has whiteouts in it (known when the tree is complete); no member names an
    ``implied`` one, so that what a lower layer says of it stands.  ``nid`` and ``nlink``
    belong to whoever writes the tree out.
    """

    entry: Entry
    offset: int = 0
    children: dict[bytes, Node] | None = None
    opaque: bool = False
    hiding: bool = False
    implied: bool = False
    nid: int = 0
    nlink: int = 0

    @property
    def whiteout(self) -> bool:
        """Whether it hides a name of the layers below: a character device 0/0."""
        entry = self.entry
        return entry.kind == "char" and entry.major == 0 and entry.minor == 0

    @property
    def marks(self) -> dict[str, bytes]:
        """The attributes that tell overlayfs what a directory of a layer does.

        overlayfs looks for whiteouts only in directories that it merges, or that
        say where they came from (with an empty answer: unknown).  Without that one,
        whiteouts in a directory that no lower layer has would be listed.
        """
        found = {}
        if self.opaque:
            found["trusted.overlay.opaque"] = b"y"
        if self.hiding:
            found["trusted.overlay.origin"] = b""
        return found


_PARENT = Entry(b"", "directory", 0o755)
_WHITEOUT = Entry(b"", "char", 0)


class LayerTree:
    """Takes a layer's members in order.

    ``explicit_root`` is the entry that set the root directory's metadata, if one
    did; ``whiteouts`` tells that something of lower layers is hidden; ``sparse``
    lists the nodes whose data has holes.  After :meth:`complete`, ``links`` lists the
    foreign hard links, which stand in the tree no longer, and ``implied`` the directories
    that no member names, unless all that lower layers have there is hidden.  `steps`: how
    far symlinks may lead all members together, in parts of paths.
    """

    def __init__(self, steps: int = MAX_STEPS) -> None:
        self._steps = Steps(steps)
        self.root = Node(_PARENT, 0, {})
        self.explicit_root: Entry | None = None
        self.whiteouts = False
        self.sparse: list[Node] = []
        self.links: tuple[ForeignLink, ...] = ()
        self.implied: tuple[Implied, ...] = ()
        self.members = 0
        self._foreign = 0
        self._foreign_size = 0
        self._implied = False
        self._weight = 0
        self._sparse_size = 0
        # Directories by their path as members write it; forgotten whenever one goes away.
        self._known: dict[bytes, dict[bytes, Node]] = {}

    def add(self, entry: Entry, offset: int) -> None:
        """Take the next member.  Raises: Invalid, Unsupported: the member is named."""
        name = entry.name
        kind = entry.kind
        head, _, base = name.rpartition(b"/")
        if not base and kind == "directory":
            head, _, base = name.rstrip(b"/").rpartition(b"/")
        children = self._known.get(head)
        if children is None or not base or base[0] == 46 or len(base) > NAME_MAX:
            place = self._place(entry)
            if place is None:
                return
            children, base = place
        self._weight += len(name)
        self.members += 1
        if kind == "file":
            if entry.xattrs:
                entry = self._checked_xattrs(entry)
            node = Node(entry, offset)
            if entry.sparse is not None:
                self._take_sparse(node)
        elif kind == "link":
            node = self._target(entry)
        else:
            node = self._special(entry)
        old = children.get(base)
        if old is not None and old is not node:
            node = self._replace(old, node)
        children[base] = node
        if node.children is not None and len(name) < PATH_MAX - NAME_MAX:
            # What comes into it next need not be looked for from the root.
            self._known[name.rstrip(b"/")] = node.children
        if self.members > MAX_MEMBERS or self._weight > MAX_WEIGHT:
            raise Unsupported(
                f"the layer has more than {MAX_MEMBERS} members or {MAX_WEIGHT} bytes of metadata"
            )

    def complete(self) -> None:
        """There are no more members.

        Takes foreign links out, marks directories with whiteouts, lists implied ones.
        Raises: Unsupported: there are too many of those.
        """
        if not (self._foreign or self.whiteouts or self._implied):
            return
        links: list[ForeignLink] = []
        implied: list[Implied] = []
        # Directories: the path above, the name, what it is, the number of the implied
        # directory that it lies in, where the path behind that begins, whether all is new.
        todo = [(b"", b"", self.root, -1, 0, False)]
        size = 0
        while todo:
            path, base, above, within, start, fresh = todo.pop()
            if above is not self.root:
                path += base
                if above.implied and not fresh:
                    implied.append(Implied(within, path[start:]))
                    size += len(path) - start
                    within, start = len(implied) - 1, len(path) + 1
                path += b"/"
            fresh = fresh or above.opaque
            children = above.children or {}
            for name, child in list(children.items()):
                if child.children is not None:
                    todo.append((path, name, child, within, start, fresh))
                elif child.entry.kind == "link":
                    del children[name]
                    if child.entry.linkname != path + name:  # to itself: leaves it as it is
                        links.append(ForeignLink(path + name, child.entry.linkname))
                elif child.whiteout:
                    above.hiding = True
        if len(implied) > MAX_IMPLIED or size > MAX_IMPLIED_SIZE:
            raise Unsupported(
                f"no members of the layer name {len(implied)} of its directories "
                f"({size} bytes of paths): more than {MAX_IMPLIED} or {MAX_IMPLIED_SIZE} bytes",
                hint="make the layer with entries for its directories, as every tar program does",
            )
        self.links = tuple(sorted((*self.links, *links)))  # it may be called again
        self.implied = tuple(implied)

    def _take_sparse(self, node: Node) -> None:
        self.sparse.append(node)
        self._sparse_size += node.entry.size
        if self._sparse_size > MAX_SPARSE:
            raise Unsupported(
                f"{show(node.entry.name)}: the layer's sparse files are too large together"
            )

    def _special(self, entry: Entry) -> Node:
        kind = entry.kind
        if entry.xattrs:
            entry = self._checked_xattrs(entry)
        if kind == "directory":
            return Node(entry, 0, {})
        if kind == "symlink":
            if not 0 < len(entry.linkname) < PATH_MAX:
                raise Invalid(
                    f"{show(entry.name)} is a symlink to a name of {len(entry.linkname)} bytes"
                )
            self._weight += len(entry.linkname)
            if entry.mode != 0o777:  # Linux knows no other, whatever the tar says
                entry = msgspec.structs.replace(entry, mode=0o777)
        elif kind in ("char", "block"):
            if not (0 <= entry.major < 1 << 12 and 0 <= entry.minor < 1 << 20):
                raise Invalid(
                    f"{show(entry.name)}: {entry.major}/{entry.minor} is not a device number"
                )
            if kind == "char" and entry.major == entry.minor == 0:
                self.whiteouts = True
        return Node(entry)

    def _replace(self, old: Node, new: Node) -> Node:
        """What stands under a name that had `old` when `new` comes."""
        if old.children is not None and new.children is not None:
            if old.entry.xattrs:
                merged = {**old.entry.xattrs, **new.entry.xattrs}
                old.entry = msgspec.structs.replace(new.entry, xattrs=merged)
            else:
                old.entry = new.entry
            old.implied = False
            return old
        if old.whiteout and new.children is not None:
            new.opaque = True  # the lower directory of this name stays hidden
        elif old.children is not None or old.entry.kind == "symlink":
            self._known.clear()
        return new

    def _place(self, entry: Entry) -> tuple[dict[bytes, Node], bytes] | None:
        """The directory and name where `entry` belongs, or None if that is already done."""
        parts = clean(entry.name, entry.name)
        if not parts:
            if entry.kind != "directory":
                raise Invalid(f"the layer's root {show(entry.name)!r} is not a directory")
            self.root.entry = self._checked_xattrs(entry)
            self.explicit_root = self.root.entry
            return None
        base = parts.pop()
        if base.startswith(WHITEOUT_PREFIX):
            self._mark(parts, base, entry)
            return None
        if parts and parts[0].startswith(AUFS_MARK):
            return None  # aufs kept its own files there
        children = self._directory(parts, entry)
        self._known[entry.name.rstrip(b"/").rpartition(b"/")[0]] = children
        return children, base

    def _mark(self, parts: list[bytes], base: bytes, entry: Entry) -> None:
        """A whiteout or opaque mark."""
        self.members += 1
        self._weight += len(entry.name)
        if base != OPAQUE_MARK and base.startswith(AUFS_MARK):
            return
        hidden = base[len(WHITEOUT_PREFIX) :]
        if base != OPAQUE_MARK and hidden in (b"", b".", b".."):
            raise Invalid(f"the whiteout {show(entry.name)} names nothing")
        self.whiteouts = True
        if base == OPAQUE_MARK:
            self._directory_node(parts, entry).opaque = True
            return
        children = self._directory(parts, entry)
        present = children.get(hidden)
        if present is None:
            children[hidden] = Node(_WHITEOUT)
        elif present.children is not None:
            present.opaque, present.implied = True, False

    def _target(self, entry: Entry) -> Node:
        """The node that a hard link names; one of kind "link" if only lower layers can have it."""
        parts = clean(entry.linkname, entry.name)
        if not parts:
            raise Invalid(f"{show(entry.name)} is a hard link to a directory")
        base = parts.pop()
        directories, path, found = self._walk(parts, entry, create=False)
        children = directories[-1].children if found else None
        node = children.get(base) if children else None
        if node is None and not any(directory.opaque for directory in directories):
            for part in (*path, base):
                check_part(part, entry)
            target = b"/".join([*path, base])
            # Symlinks of this layer can make it many times as long as what the member says.
            if len(target) > PATH_MAX:
                raise Invalid(f"{show(entry.name)}: it links to a path over {PATH_MAX} bytes")
            self._foreign += 1
            self._foreign_size += len(target)
            if self._foreign > MAX_LINKS or self._foreign_size > MAX_LINKS_SIZE:
                raise Unsupported(
                    f"the layer has more than {MAX_LINKS} hard links to lower layers, "
                    f"or {MAX_LINKS_SIZE} bytes of names in them"
                )
            return Node(msgspec.structs.replace(entry, linkname=target))
        if node is None or node.whiteout:
            raise _no_target(entry)
        if node.children is not None:
            raise Invalid(f"{show(entry.name)} is a hard link to a directory")
        return node

    def _directory(self, parts: list[bytes], entry: Entry) -> dict[bytes, Node]:
        children = self._directory_node(parts, entry).children
        assert children is not None
        return children

    def _directory_node(self, parts: list[bytes], entry: Entry) -> Node:
        return self._walk(parts, entry, create=True)[0][-1]

    def _walk(
        self, parts: list[bytes], entry: Entry, *, create: bool
    ) -> tuple[list[Node], list[bytes], bool]:
        """Go to the directory at `parts`; missing ones are made if `create`.

        Returns the directories from the root down, the path without symlinks, and
        whether it was found: if not, the directories end early.
        """
        stack = [self.root]
        path: list[bytes] = []
        todo = parts[::-1]
        hops = 0
        while todo:
            part = todo.pop()
            if part in (b"", b"."):
                continue
            if part == b"..":  # only symlinks bring these; above the root is the root
                if path:
                    stack.pop()
                    path.pop()
                continue
            check_part(part, entry)
            children = stack[-1].children
            assert children is not None
            child = children.get(part)
            if child is None or child.whiteout:
                if not create:
                    if child is not None:
                        raise _no_target(entry)
                    return stack, confined([*path, part, *reversed(todo)]), False
                child = Node(_PARENT, 0, {}, opaque=child is not None, implied=child is None)
                self._implied = True
                children[part] = child
                self.members += 1
            elif child.entry.kind == "symlink":
                hops += 1
                if hops > _HOPS:
                    raise Invalid(f"{show(entry.name)} goes through too many symlinks")
                target = child.entry.linkname
                if target.startswith(b"/"):
                    stack, path = [self.root], []
                inner = target.split(b"/")
                self._steps.take(len(inner))
                todo.extend(reversed(inner))
                continue
            elif child.children is None:
                raise Invalid(f"{show(entry.name)}: {show(part)} is not a directory")
            stack.append(child)
            path.append(part)
        return stack, path, True

    def _checked_xattrs(self, entry: Entry) -> Entry:
        entry, size = checked_xattrs(entry)
        self._weight += size
        return entry


def _no_target(entry: Entry) -> Invalid:
    return Invalid(
        f"{show(entry.name)} is a hard link to {show(entry.linkname)}, "
        "which the layer has removed before it"
    )
