"""What every snapshotter promises, shown by mounting: erofs (also through loop devices), overlay."""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest

from corten.archive.entry import Entry
from corten.errors import Conflict, Corrupt, Invalid, NotFound, Usage
from corten.oci.digest import Digest
from corten.snapshot.mounting import mounted
from corten.snapshot.probing import choose
from corten.snapshot.protocols import Feeds
from corten.snapshot.skeleton import skeleton
from support.snapshots import Bench, extracted
from support.tars import (
    directory,
    entries,
    file,
    header,
    link,
    look,
    pack,
    padded,
    pax,
    symlink,
    write_tar,
)

pytestmark = pytest.mark.root

SKELETON = frozenset([b"dev", b"etc", b"proc", b"sys"])
NS = 1_234_567_890_123_456_789


def test_tree_is_what_gnu_tar_extracts(bench: Bench) -> None:
    data = pack(
        directory(b"./", 0o755),
        directory(b"./bin", 0o755, mtime_ns=NS),
        file(b"./bin/su", b"#!", mode=0o4755, mtime_ns=NS),
        file(b"./bin//sticky", b"x" * 5000, mode=0o1644),
        link(b"./bin/hard", b"./bin/su"),
        directory(b"tmp", 0o1777, mtime_ns=NS + 1),
        directory(b"group", 0o2775, uid=1000, gid=70000),
        file(b"group/owned", b"o", uid=65536, gid=4_000_000_000),
        link(b"group/hard2", b"./bin/hard"),
        file(b"empty", mtime_ns=-1_500_000_000),
        file(b"attributes", b"a", xattrs={"user.one": b"1", "user.zero": b"\0\xff"}),
        directory(b"attributed", xattrs={"user.dir": b"d" * 3000}),
        symlink(b"absolute", b"/etc/passwd"),
        symlink(b"long", b"t" * 4000),
        Entry(b"null", "char", 0o666, major=1, minor=3),
        Entry(b"disk", "block", 0o660, major=259, minor=300, gid=6),
        Entry(b"pipe", "fifo", 0o600, mtime_ns=NS),
        file(b"\xff\xfe not utf-8 \x01", b"?"),
        file(b"n" * 255, b"long name"),
        directory(b"/".join([b"deep" * 10] * 30)),
        file(b"large", os.urandom(3_000_001)),
    )
    wanted = extracted(data, bench.directory / "reference")
    found = bench.look(bench.layer(data))
    # GNU tar gives directories that no member names the time of day.
    missing = [b"/".join([b"deep" * 10] * depth) for depth in range(1, 30)]
    for path in missing:
        assert found[path][1:4] == wanted[path][1:4] == (0o755, 0, 0)
        del found[path], wanted[path]
    assert found == wanted


def test_capabilities_and_acls_are_kept(bench: Bench) -> None:
    capability = bytes.fromhex("0100000200040000000000000000000000000000")
    acl = bytes.fromhex(
        "0200000001000700ffffffff02000400e803000004000500ffffffff10000500ffffffff20000500ffffffff"
    )
    data = pack(
        file(
            b"ping",
            b"x",
            mode=0o755,
            uid=7,
            xattrs={"security.capability": capability, "system.posix_acl_access": acl},
        )
    )
    with bench.shown(bench.layer(data)) as tree:
        assert os.getxattr(tree / "ping", "security.capability") == capability
        if bench.driver != "erofs":  # EROFS on these kernels is built with or without ACLs
            assert os.getxattr(tree / "ping", "system.posix_acl_access") == acl
        assert (tree / "ping").stat().st_uid == 7


def test_later_members_replace_earlier_ones(bench: Bench) -> None:
    data = pack(
        file(b"a", b"first"),
        file(b"a", b"second", mode=0o600),
        directory(b"d"),
        file(b"d/inner", b"gone"),
        file(b"d", b"now a file"),
        file(b"e", b"file"),
        directory(b"e", 0o700),
        file(b"e/inner", b"in"),
        symlink(b"s", b"e"),
        file(b"s", b"no longer a link"),
        directory(b"k", 0o700, xattrs={"user.old": b"1"}),
        file(b"k/stays", b""),
        directory(b"k", 0o711, xattrs={"user.new": b"2"}),
    )
    with bench.shown(bench.layer(data)) as tree:
        assert (tree / "a").read_bytes() == b"second"
        assert (tree / "d").read_bytes() == b"now a file"
        assert (tree / "e/inner").read_bytes() == b"in"
        assert (tree / "s").read_bytes() == b"no longer a link"
        assert (tree / "k/stays").exists()
        assert stat.S_IMODE((tree / "k").stat().st_mode) == 0o711
        assert sorted(os.listxattr(tree / "k")) == ["user.new", "user.old"]


def test_hard_link_names_what_its_target_is_at_that_moment(bench: Bench) -> None:
    data = pack(file(b"a", b"old"), link(b"b", b"a"), file(b"a", b"new"), link(b"c", b"a"))
    with bench.shown(bench.layer(data)) as tree:
        assert [(tree / name).read_bytes() for name in "abc"] == [b"new", b"old", b"new"]
        assert (tree / "a").stat().st_ino == (tree / "c").stat().st_ino
        assert [(tree / name).stat().st_nlink for name in "abc"] == [2, 1, 2]


def test_names_are_cleaned_and_absolute_ones_are_relative(bench: Bench) -> None:
    data = pack(
        file(b"/etc/passwd", b"root"),
        file(b".//x/./y//z", b"z"),
        file(b"a/../b", b"b"),
        symlink(b"lib", b"/usr/lib"),
        file(b"lib/in-usr", b"followed inside the layer"),
        symlink(b"up", b"../../../../up-there"),
        file(b"up/contained", b"c"),
    )
    with bench.shown(bench.layer(data)) as tree:
        assert (tree / "etc/passwd").read_bytes() == b"root"
        assert (tree / "x/y/z").read_bytes() == b"z"
        assert (tree / "b").read_bytes() == b"b"
        assert (tree / "usr/lib/in-usr").read_bytes() == b"followed inside the layer"
        assert (tree / "up-there/contained").read_bytes() == b"c"
        assert os.fsencode((tree / "lib").readlink()) == b"/usr/lib"


def test_sparse_members_have_their_holes(bench: Bench) -> None:
    text = padded(b"2\n0\n3\n70000\n4\n")
    records = {
        b"GNU.sparse.major": b"1",
        b"GNU.sparse.minor": b"0",
        b"GNU.sparse.name": b"holes",
        b"GNU.sparse.realsize": b"100000",
    }
    member = pax(records) + header(b"x", size=len(text) + 7) + text + padded(b"onefour")
    data = member + pack(file(b"plain", b"after"), link(b"again", b"holes"))
    with bench.shown(bench.layer(data)) as tree:
        expected = bytearray(100_000)
        expected[:3], expected[70_000:70_004] = b"one", b"four"
        assert (tree / "holes").read_bytes() == expected
        assert (tree / "again").stat().st_ino == (tree / "holes").stat().st_ino
        assert (tree / "plain").read_bytes() == b"after"


def test_whiteouts_hide_what_is_below_only(bench: Bench) -> None:
    lower = bench.layer(
        pack(
            file(b"gone", b"1"),
            file(b"stays", b"2"),
            file(b"opaque/old", b"3"),
            file(b"tree/a", b"4"),
            file(b"again/old", b"5"),
            file(b"both/old", b"6"),
        )
    )
    upper = bench.layer(
        pack(
            file(b".wh.gone"),
            file(b".wh.tree"),
            file(b".wh.never-was"),
            file(b"opaque/new", b"7"),
            file(b"opaque/.wh..wh..opq"),
            file(b".wh.again"),
            directory(b"again"),
            file(b"again/new", b"8"),
            file(b"both/new", b"9"),
            file(b".wh.both"),
            file(b".wh..wh.plnk/1.2", b"of aufs"),
            file(b".wh..wh.aufs"),
        )
    )
    with bench.shown(lower, upper) as tree:
        assert set(look(tree)) == {
            b"stays",
            b"opaque",
            b"opaque/new",
            b"again",
            b"again/new",
            b"both",
            b"both/new",
        }
    with bench.shown(upper) as tree:
        assert b"gone" not in look(tree)
        assert (tree / "opaque/new").read_bytes() == b"7"


def test_directory_of_an_upper_layer_merges_with_the_lower_one(bench: Bench) -> None:
    one = bench.layer(pack(directory(b"d", 0o700), file(b"d/a", b"a"), file(b"d/b", b"b")))
    two = bench.layer(pack(directory(b"d", 0o750), file(b"d/b", b"B"), file(b"d/c", b"c")))
    with bench.shown(one, two) as tree:
        assert sorted(path.name for path in (tree / "d").iterdir()) == ["a", "b", "c"]
        assert (tree / "d/b").read_bytes() == b"B"
        assert stat.S_IMODE((tree / "d").stat().st_mode) == 0o750


def test_layer_must_not_speak_to_overlayfs(bench: Bench) -> None:
    lower = bench.layer(pack(file(b"d/seen", b""), file(b"secret", b"s")))
    tricks = {
        "trusted.overlay.opaque": b"y",
        "trusted.overlay.redirect": b"/secret",
        "user.overlay.opaque": b"y",
        "system.nfs4_acl": b"x",
        "unknown.name": b"x",
        "user.kept": b"k",
    }
    upper = bench.layer(pack(directory(b"d", xattrs=tricks)))
    with bench.shown(lower, upper) as tree:
        assert (tree / "d/seen").exists()
        assert os.listxattr(tree / "d") == ["user.kept"]


def test_empty_layers_change_nothing(bench: Bench) -> None:
    empty = bench.layer(bytes(1024))
    nothing = bench.layer(b"")
    full = bench.layer(pack(file(b"f", b"1")))
    assert bench.look(empty) == {}
    assert bench.look(nothing) == {}
    assert set(bench.look(empty, full, nothing)) == {b"f"}


def test_seventy_layers_stack(bench: Bench) -> None:
    layers = [
        bench.layer(pack(file(b"f%d" % i, b"%d" % i), file(b"last", b"%d" % i))) for i in range(70)
    ]
    with bench.shown(*layers) as tree:
        assert len(look(tree)) == 71
        assert (tree / "last").read_bytes() == b"69"


def test_same_layer_may_stand_twice_in_a_stack(bench: Bench) -> None:
    one = bench.layer(pack(file(b"a", b"1")))
    two = bench.layer(pack(file(b".wh.a")))
    assert set(bench.look(one, two, one)) == {b"a"}


def test_writable_snapshot_without_layers_has_the_skeleton_only(bench: Bench) -> None:
    key = bench.key()
    with mounted(bench.snapshotter.prepare(key, [])) as tree:
        assert set(look(tree)) == SKELETON | {b"etc/hostname", b"etc/hosts", b"etc/resolv.conf"}
        (tree / "etc/new").write_text("n")
    assert [entry.name for entry in entries(bench.diff(key))] == [b"etc/", b"etc/new"]
    assert bench.look() == {}


def change(tree: Path) -> None:
    """Change a tree in all the ways there are."""
    (tree / "new").write_bytes(b"new")
    (tree / "edited").write_bytes(b"edited")
    (tree / "deleted").unlink()
    shutil.rmtree(tree / "removed")
    shutil.rmtree(tree / "replaced")
    (tree / "replaced").mkdir(0o700)
    (tree / "replaced/only").write_bytes(b"only")
    (tree / "turned").unlink()
    (tree / "turned").mkdir()
    shutil.rmtree(tree / "into-file")
    (tree / "into-file").write_bytes(b"file")
    shutil.move(tree / "moved", tree / "moved-here")  # as mv does: overlayfs answers EXDEV
    os.link(tree / "new", tree / "dir/hard")
    (tree / "dir/link").symlink_to("t" * 300)
    os.mknod(tree / "null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
    os.mkfifo(tree / "pipe", 0o640)
    os.chown(tree / "dir", 70000, 4_000_000_000)
    (tree / "dir").chmod(0o2711)
    os.setxattr(tree / "kept", "user.added", b"\0\xff=\n")
    os.utime(tree / "kept", ns=(NS, NS))
    (tree / os.fsdecode(b"\xff\xfe")).write_bytes(b"odd")
    (tree / ("n" * 255)).write_bytes(b"long")
    (tree / "holes").write_bytes(b"x")
    os.truncate(tree / "holes", 1_000_000)
    deep = tree.joinpath(*["deep" * 10] * 20)
    deep.mkdir(parents=True)
    (deep / "file").write_bytes(b"d")


BASE = (
    directory(b"./", 0o711, uid=3),
    file(b"edited", b"before"),
    file(b"deleted", b"x"),
    file(b"removed/a", b"x"),
    file(b"replaced/old", b"x"),
    file(b"turned", b"x"),
    file(b"into-file/x", b"x"),
    file(b"moved/inside", b"m"),
    file(b"dir/stays", b"s"),
    file(b"kept", b"k" * 10_000, mode=0o4711, xattrs={"user.before": b"1"}),
    file(b"untouched", b"u"),
)


def test_changes_applied_as_a_layer_give_the_same_tree(bench: Bench) -> None:
    base = bench.layer(pack(*BASE))
    key = bench.key()
    with mounted(bench.snapshotter.prepare(key, [base])) as tree:
        status = tree.stat()
        assert (stat.S_IMODE(status.st_mode), status.st_uid) == (0o711, 3)
        change(tree)
        changed = look(tree, skip=SKELETON)
    data = bench.diff(key)
    assert data == bench.diff(key)
    names = [entry.name for entry in entries(data)]
    assert b"./" not in names
    assert b"untouched" not in names
    assert names.index(b"replaced/.wh..wh..opq") == names.index(b"replaced/") + 1
    assert bench.look(base, bench.layer(data)) == changed


def test_snapshot_keeps_its_changes_until_removed(bench: Bench) -> None:
    base = bench.layer(pack(file(b"f", b"1")))
    key = bench.key()
    with mounted(bench.snapshotter.prepare(key, [base])) as tree:
        (tree / "new").write_text("1")
    with mounted(bench.snapshotter.mounts(key)) as tree:
        assert (tree / "new").read_text() == "1"
    bench.snapshotter.remove(key)
    bench.snapshotter.remove(key)
    with pytest.raises(NotFound):
        bench.snapshotter.mounts(key)
    with pytest.raises(NotFound):
        bench.diff(key)
    assert bench.look(base).keys() == {b"f"}


def test_change_of_the_root_directory_is_in_the_diff(bench: Bench) -> None:
    key = bench.key()
    with mounted(bench.snapshotter.prepare(key, [])) as tree:
        tree.chmod(0o500)
    (entry,) = entries(bench.diff(key))
    assert (entry.name, entry.mode) == (b"./", 0o500)
    layer = bench.layer(bench.diff(key))
    with bench.shown(layer) as tree:
        assert stat.S_IMODE(tree.stat().st_mode) == 0o500


def test_snapshot_that_nothing_wrote_to_has_an_empty_diff(bench: Bench) -> None:
    key = bench.key()
    base = bench.layer(pack(*BASE))
    with mounted(bench.snapshotter.prepare(key, [base])) as tree:
        (tree / "untouched").read_bytes()
    assert bench.diff(key) == bytes(1024)


def test_name_that_would_be_a_whiteout_cannot_be_kept(bench: Bench) -> None:
    key = bench.key()
    with mounted(bench.snapshotter.prepare(key, [])) as tree:
        (tree / "etc/.wh.passwd").write_text("")
    with pytest.raises(Invalid, match=r"etc/\.wh\.passwd"):
        bench.diff(key)


def test_mountpoints_are_there_under_every_writable_snapshot(bench: Bench) -> None:
    base = bench.layer(pack(directory(b"etc", 0o700), file(b"etc/hosts", b"own")))
    key = bench.key()
    with mounted(bench.snapshotter.prepare(key, [base])) as tree:
        assert (tree / "etc/hosts").read_bytes() == b"own"
        assert (tree / "etc/resolv.conf").is_file()
        assert stat.S_IMODE((tree / "etc").stat().st_mode) == 0o700
        assert all((tree / name).is_dir() for name in ("proc", "sys", "dev"))
    assert bench.diff(key) == bytes(1024)
    assert skeleton(bench.root / "snapshots").is_dir()


def test_readonly_snapshots_cannot_be_written_and_have_no_diff(bench: Bench) -> None:
    one, two = bench.layer(pack(file(b"a"))), bench.layer(pack(file(b".wh.b")))
    stacks: Sequence[Sequence[Digest]] = ([], [one], [two], [one, two])
    for layers in stacks:
        key = bench.key()
        with (
            mounted(bench.snapshotter.prepare(key, layers, readonly=True)) as tree,
            pytest.raises(OSError, match="Read-only"),
        ):
            (tree / "new").write_text("")
        with pytest.raises(Usage):
            bench.diff(key)


def test_keys_and_layers_are_checked(bench: Bench) -> None:
    layer = bench.layer(pack(file(b"a")))
    missing = Digest(f"sha256:{'0' * 64}")
    bench.snapshotter.prepare("used", [layer])
    with pytest.raises(Conflict):
        bench.snapshotter.prepare("used", [layer])
    with pytest.raises(NotFound, match="000000000000"):
        bench.snapshotter.prepare("other", [layer, missing])
    assert [snapshot.key for snapshot in bench.snapshotter.walk()] == ["used"]
    for key in ("", "../up", "a/b", ".hidden", "skeleton", "x" * 200, "a\n"):
        with pytest.raises(Invalid):
            bench.snapshotter.prepare(key, [])


def test_walk_tells_what_was_prepared(bench: Bench) -> None:
    layer = bench.layer(pack(file(b"a")))
    bench.snapshotter.prepare("b", [layer])
    bench.snapshotter.prepare("a", [layer, layer], readonly=True)
    assert [tuple(snapshot) for snapshot in bench.snapshotter.walk()] == [
        ("a", (layer, layer), True),
        ("b", (layer,), False),
    ]


def test_prune_keeps_what_is_wanted_or_under_a_snapshot(bench: Bench) -> None:
    kept, used, unused = (bench.layer(pack(file(name))) for name in (b"1", b"2", b"3"))
    bench.snapshotter.prepare("s", [used])
    assert bench.snapshotter.prune([kept]) == 1
    assert [bench.snapshotter.has(layer) for layer in (kept, used, unused)] == [True, True, False]
    bench.snapshotter.remove("s")
    assert bench.snapshotter.prune([]) == 2
    left = [path.name for path in (bench.root / "layers" / bench.driver).iterdir()]
    assert left == [".lock"]


def test_layers_applied_by_several_threads_at_once_are_whole(bench: Bench) -> None:
    data = pack(*(file(b"d%d/f%d" % (i % 7, i), b"x" * i) for i in range(400)))
    diff_id, tar = write_tar(bench.directory / "shared.tar", data)
    failures: list[BaseException] = []

    def apply() -> None:
        try:
            choose(bench.root, bench.driver).apply(diff_id, tar)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=apply) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert len([path for path in bench.look(diff_id) if b"/f" in path]) == 400
    names = {path.name for path in (bench.root / "layers" / bench.driver).iterdir()}
    assert names - {".lock"} == {diff_id.encoded}


def test_layers_may_be_mounted_several_times_at_once(bench: Bench) -> None:
    layer = bench.layer(pack(file(b"a", b"1")))
    first = bench.snapshotter.prepare("one", [layer])
    second = bench.snapshotter.prepare("two", [layer])
    with mounted(first) as tree:
        with mounted(second) as other:
            (other / "a").write_bytes(b"2")
        assert (tree / "a").read_bytes() == b"1"


def test_refused_layer_leaves_nothing(bench: Bench) -> None:
    data = pack(file(b"fine", b"1"), link(b"bad", b"fine/missing"))
    diff_id, tar = write_tar(bench.directory / "bad.tar", data)
    with pytest.raises(Invalid, match=f"{diff_id.short}: bad: fine is not a directory"):
        bench.snapshotter.apply(diff_id, tar)
    assert not bench.snapshotter.has(diff_id)
    layers = bench.root / "layers" / bench.driver
    assert not layers.exists() or list(layers.iterdir()) == []


def test_missing_tar_is_not_found(bench: Bench) -> None:
    with pytest.raises(NotFound):
        bench.snapshotter.apply(Digest(f"sha256:{'1' * 64}"), bench.directory / "nothing")


@pytest.mark.parametrize("step", [1000, 1 << 20])
def test_feed_gives_the_same_layer_as_apply(bench: Bench, step: int) -> None:
    assert isinstance(bench.snapshotter, Feeds)
    data = pack(*BASE)
    diff_id, tar = write_tar(bench.directory / "fed.tar", data)
    with bench.snapshotter.feeding() as feed:
        for at in range(0, len(data), step):
            feed.feed(memoryview(data)[at : at + step])
        assert not bench.snapshotter.has(diff_id)
        feed.finish(diff_id, tar)
    fed = bench.look(diff_id)
    assert bench.snapshotter.prune([]) == 1
    bench.snapshotter.apply(diff_id, tar)
    assert bench.look(diff_id) == fed


def test_feed_that_is_left_early_leaves_nothing(bench: Bench) -> None:
    assert isinstance(bench.snapshotter, Feeds)
    data = pack(*BASE)
    diff_id, tar = write_tar(bench.directory / "fed.tar", data)
    with bench.snapshotter.feeding() as feed:
        feed.feed(data[:600])
    with bench.snapshotter.feeding() as feed:
        feed.feed(data[:700])
        with pytest.raises(Invalid, match="ends in the middle"):
            feed.finish(diff_id, tar)
    assert not bench.snapshotter.has(diff_id)


def test_damaged_layer_is_found_before_the_kernel_reads_it(bench: Bench) -> None:
    layer = bench.layer(pack(file(b"a", b"1")))
    directory = bench.root / "layers" / bench.driver / layer.encoded
    if bench.driver == "erofs":
        # That an index alone is mended: test_damaged_index.py.
        for path in (directory / "index", directory / "data"):
            path.write_bytes(path.read_bytes()[:-1] + b"\x01")
    else:
        shutil.rmtree(directory / "fs")
    with pytest.raises(Corrupt, match=layer.short):
        choose(bench.root, bench.driver).prepare("k", [layer], readonly=True)
    assert list(bench.snapshotter.walk()) == []


def test_kernel_shows_the_data_of_a_large_tar(bench: Bench) -> None:
    data = {b"f%d" % i: os.urandom(1 + i * 7919 % 60_000) for i in range(200)}
    layer = bench.layer(pack(*(file(name, content) for name, content in data.items())))
    with bench.shown(layer) as tree:
        for name, content in data.items():
            found = (tree / os.fsdecode(name)).read_bytes()
            assert hashlib.sha256(found).digest() == hashlib.sha256(content).digest()
