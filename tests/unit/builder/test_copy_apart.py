"""A copy in two processes: the same layer and errors as in one, and nobody left behind."""

from __future__ import annotations

import hashlib
import os
import resource
import select
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path

import pytest

import corten
from corten.builder.copy_apart import copy_apart, copy_layer, error_of
from corten.builder.copy_process import SLOT, Failed, broken
from corten.builder.copying import Copied, Sources, content_digest, write_layer
from corten.builder.graph import Copy, Inline
from corten.builder.hashes import Learnt
from corten.builder.tree import Tree, open_tree
from corten.builder.walk import count_names, unreadable
from corten.dockerfile.ignore import parse_ignore
from corten.errors import Cancelled, Conflict, CortenError, Denied, Invalid, Unavailable
from corten.events.job import Job

T = 1_600_000_000
SHORT = Path("/sys/kernel/uevent_seqnum")
OTHERS: set[int] = set()
"""Processes of other tests, which may serve a whole session."""


class Known:
    """Digests that a copy gave to be remembered."""

    def __init__(self) -> None:
        self.learnt: list[Learnt] = []

    def find(self, path: str, state: os.stat_result) -> bytes | None:
        return None

    def keep(self, learnt: Iterable[Learnt], began: int) -> None:
        assert began > T * 10**9
        self.learnt += learnt


@pytest.fixture
def context(tmp_path: Path) -> Path:
    """A tree with everything that a copy may meet."""
    root = tmp_path / "context"
    for name, content in {
        "d/a": b"a",
        "d/empty": b"",
        "d/sub/deep/b": b"b" * 5000,
        "d/sub/large": os.urandom(SLOT + 1_000_001),
        "d/" + "n" * 120: b"long name",
        "d/x.log": b"left out",
        "d/kept.log": b"taken in again",
    }.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    (root / os.fsdecode(b"d/not-\xff-utf8")).write_bytes(b"name")
    (root / "d/none").mkdir()
    (root / "d/link").symlink_to("../etc/passwd")
    (root / "d/hard").hardlink_to(root / "d/sub/deep/b")
    os.mkfifo(root / "d/pipe")
    (root / "d/a").chmod(0o4755)
    for number in range(600):  # more than notes are held, and than are sent at once
        (root / f"d/none/{number}").write_bytes(b"%d" % number)
    return root


@pytest.fixture
def below(tmp_path: Path) -> Path:
    root = tmp_path / "below"
    (root / "usr/lib").mkdir(parents=True)
    (root / "srv").symlink_to("usr/lib")
    (root / "etc").mkdir()
    (root / "etc/passwd").write_text("me:x:1000:1001::/:\n")
    return root


@pytest.fixture(autouse=True)
def nothing_left() -> Iterator[None]:
    """Neither a process nor a descriptor stays."""
    OTHERS.update(children())
    before = len(list(Path("/proc/self/fd").iterdir()))
    yield
    assert children() == []
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def children() -> list[int]:
    """The processes that this one has started since the test began."""
    return [
        int(pid)
        for task in Path("/proc/self/task").iterdir()
        for pid in (task / "children").read_text().split()
        if int(pid) not in OTHERS
    ]


Way = Callable[..., Copied | None]


def copied(
    way: Way, context: Path, below: Path | None, op: Copy, keep_owner: bool = False
) -> tuple[Copied | None, bytes, list[Learnt]]:
    known, tar = Known(), bytearray()
    hashes = None if keep_owner else known
    ignore = parse_ignore("**/*.log\n!**/kept.log\n")
    with open_tree(context, ignore, "the build context") as tree:
        sources = Sources(tree, keep_owner, hashes, None)
        if below is None:
            return way(op, sources, tar.extend, None, Job()), bytes(tar), known.learnt
        with open_tree(below, None, "the image") as under:
            return way(op, sources, tar.extend, under, Job()), bytes(tar), known.learnt


@pytest.mark.parametrize(
    ("op", "keep_owner"),
    [
        (Copy(("/d",), "/srv/"), False),
        (Copy(("/d", "/d/a"), "/new/", chown="me", chmod="750", time=5), False),
        (Copy(("/d/*", "/d/sub"), "/x/", inline=(Inline("E", "text"),)), False),
        (Copy(("/d",), "/srv/x", from_input=True), True),
    ],
)
def test_two_processes_make_the_layer_that_one_makes(
    context: Path, below: Path, op: Copy, keep_owner: bool
) -> None:
    alone = copied(write_layer, context, below, op, keep_owner)
    apart = copied(copy_apart, context, below, op, keep_owner)
    assert alone == apart
    for path, state, digest in apart[2]:
        content = (context / os.fsdecode(path)).read_bytes()
        assert (state.size, digest) == (len(content), hashlib.sha256(content).digest())
    assert bool(apart[2]) is not keep_owner
    assert b"kept.log" in apart[1]
    assert b"x.log" not in apart[1]
    assert len(apart[1]) > SLOT


@pytest.mark.parametrize(
    "op",
    [
        Copy(("/d",), "/x", chmod="u=rwX,go=rX", excludes=("sub", "big*", "**/1*")),
        Copy(("/d/./**/deep", "/./d/[a-z]"), "/x/", parents=True, excludes=("none",)),
    ],
)
def test_two_processes_select_what_one_selects(context: Path, below: Path, op: Copy) -> None:
    alone = copied(write_layer, context, below, op)
    assert alone == copied(copy_apart, context, below, op)
    assert alone[0] is not None
    assert 1 < alone[0].entries < 600


def test_two_processes_make_the_layer_on_nothing_too(context: Path) -> None:
    op = Copy(("/d",), "/srv", chown="5:6")
    assert copied(write_layer, context, None, op) == copied(copy_apart, context, None, op)


@pytest.mark.parametrize(
    ("op", "message"),
    [
        (Copy(("/missing",), "/x"), "missing is not in the build context"),
        (Copy(("/d/x.log",), "/x"), "d/x.log is not in the build context"),
        (Copy(("/d",), "/etc/passwd"), "not a directory"),
        (Copy(("/d",), "/x", chown="ghost"), "ghost"),
        (Copy(("/d",), "/.wh.x/"), "mean deletions"),
        (Copy(("/odd",), "/x"), r"not-\udcff"),
        (Copy(("/short",), "/x"), f"{SHORT.name} holds"),
    ],
)
def test_an_error_is_the_same_from_two_processes(
    context: Path, below: Path, op: Copy, message: str
) -> None:
    (context / "odd").mkdir()
    (context / os.fsdecode(b"odd/.wh.not-\xff")).touch()
    errors = []
    if op.sources == ("/short",):
        context, op = SHORT.parent, Copy((f"/{SHORT.name}",), "/x")
    for way in (write_layer, copy_apart):
        with pytest.raises(CortenError) as caught:
            copied(way, context, below, op)
        errors.append((type(caught.value), caught.value.message, caught.value.hint))
    assert errors[0] == errors[1]
    assert message in errors[0][1]


def test_an_error_that_is_none_of_ours_keeps_its_kind_and_says_where(context: Path) -> None:
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, limits[1]))
    try:
        with pytest.raises(OSError, match="File too large") as caught:
            copied(copy_apart, context, None, Copy(("/d",), "/x"))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert "Traceback" in caught.value.__notes__[0]
    other = error_of(broken(ValueError("no number")))
    assert (type(other), other.args) == (RuntimeError, ("ValueError: no number",))
    for error in (PermissionError(13, "Permission denied", "/a\udcff"), OSError(5, "I/O error")):
        found = error_of(broken(error))
        assert isinstance(found, OSError)
        assert (type(found), found.args) == (type(error), error.args[:2])
        assert found.filename == error.filename


def apart(context: Path, write: Callable[[bytes], object], job: Job | None = None) -> Copied | None:
    """Copy the tree in two processes, and hand its pieces to `write`."""
    with open_tree(context, None, "the build context") as tree:
        sources = Sources(tree, False, None, None)
        return copy_apart(Copy(("/d",), "/x"), sources, write, None, job or Job())


def test_a_killed_process_is_an_error_that_says_so(context: Path) -> None:
    def kill(data: bytes) -> None:
        for pid in children():
            os.kill(pid, signal.SIGKILL)

    with pytest.raises(Unavailable, match=r"ended \(signal 9\)") as caught:
        apart(context, kill)
    assert caught.value.hint == "build again"


def test_signals_that_come_to_both_processes_are_answered_by_one(context: Path) -> None:
    def signal_it(data: bytes) -> None:
        for pid in children():
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                os.kill(pid, number)

    assert apart(context, signal_it) is not None


def test_a_cancelled_copy_ends_the_other_process(context: Path) -> None:
    job = Job()
    with pytest.raises(Cancelled):
        apart(context, lambda data: job.cancel(), job)


def test_where_nothing_can_be_written_the_other_process_ends(context: Path) -> None:
    def full(data: bytes) -> None:
        raise Unavailable("the disk is full")

    with pytest.raises(Unavailable, match="the disk is full"):
        apart(context, full)


def test_a_stopped_process_does_not_keep_a_cancelled_copy(context: Path) -> None:
    job = Job()

    def stop(data: bytes) -> None:
        for pid in children():
            os.kill(pid, signal.SIGSTOP)
        signal.setitimer(signal.ITIMER_REAL, 0.3)

    before = signal.signal(signal.SIGALRM, lambda *_: job.cancel())
    try:
        with pytest.raises(Cancelled):
            apart(context, stop, job)
    finally:
        signal.signal(signal.SIGALRM, before)


def test_when_it_is_killed_itself_the_other_process_ends(context: Path) -> None:
    script = (
        "import os, signal, sys; from pathlib import Path; from corten.builder.copy_apart import *;"
        "from corten.builder.tree import open_tree\n"
        "def write(data):\n"
        "    print(Path(f'/proc/self/task/{os.getpid()}/children').read_text(), flush=True)\n"
        "    signal.pause()\n"
        "tree = open_tree(sys.argv[1])\n"
        "copy_apart(Copy(('/d',), '/x'), Sources(tree, False, None, None), write, None, Job())\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, str(context)], stdout=subprocess.PIPE, text=True
    ) as parent:
        try:
            assert parent.stdout is not None
            other = os.pidfd_open(int(parent.stdout.readline()))
        finally:
            parent.kill()
    try:
        waiting = select.poll()
        waiting.register(other, select.POLLIN)  # readable when the process has ended
        assert waiting.poll(30_000)
    finally:
        os.close(other)


@pytest.mark.parametrize("program", ["/nonexistent/python", "python-that-fails", "", None])
def test_where_no_process_can_be_started_one_does_all(
    context: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, program: str | None
) -> None:
    (tmp_path / "python-that-fails").symlink_to("/bin/false")
    monkeypatch.setattr(sys, "executable", program and str(tmp_path / program))
    op = Copy(("/d",), "/x")
    assert copied(copy_apart, context, None, op) == (None, b"", [])
    large = partial(copy_layer, many=500)
    assert copied(large, context, None, op) == copied(write_layer, context, None, op)


@pytest.mark.parametrize("frozen", [False, True])
def test_a_program_that_has_python_in_it_is_not_started_again(
    context: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, frozen: bool
) -> None:
    program = tmp_path / ("python" if frozen else "server")
    program.write_text(f"#!/bin/sh\ntouch {tmp_path}/started\n")
    program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(program))
    monkeypatch.setattr(sys, "frozen", frozen, raising=False)
    assert apart(context, len) is None
    assert not (tmp_path / "started").exists()


def test_another_corten_makes_no_layer_of_ours(
    context: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "corten").symlink_to(Path(corten.__file__).parent)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    assert apart(context, len) is None


def test_an_interpreter_that_would_ask_for_more_ends(
    context: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "msgspec.py").write_text("raise ImportError")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("PYTHONINSPECT", "1")
    timer = signal.signal(signal.SIGALRM, signal.default_int_handler)
    signal.alarm(20)
    try:
        assert apart(context, len) is None
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, timer)


def test_an_environment_that_this_interpreter_ignores_is_ignored(
    context: Path, tmp_path: Path
) -> None:
    (tmp_path / "msgspec.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    script = (
        "import sys; from corten.builder.copy_apart import *\n"
        "from corten.builder.tree import open_tree\n"
        "with open_tree(sys.argv[1]) as tree:\n"
        "    sources = Sources(tree, False, None, None)\n"
        "    assert copy_apart(Copy(('/d',), '/x'), sources, len, None, Job())\n"
    )
    subprocess.run(
        [sys.executable, "-I", "-c", script, str(context)],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        check=True,
    )
    assert not (tmp_path / "ran").exists()


def test_without_standard_descriptors_or_memory_one_does_all(context: Path) -> None:
    with open_tree(context) as tree:
        sources = Sources(tree, False, None, None)
        below = os.dup(0)
        limits = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (below, limits[1]))
        os.close(below)
        try:
            assert copy_apart(Copy(("/d",), "/x"), sources, len, None, Job()) is None
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        kept = os.dup(0)
        os.dup2(tree.fd, 0)
        try:
            low = Sources(Tree(0), False, None, None)
            assert copy_apart(Copy(("/d",), "/x"), low, len, None, Job()) is None
        finally:
            os.dup2(kept, 0)
            os.close(kept)


def test_what_lies_where_somebody_builds_is_not_run(
    context: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("corten/__init__.py", "struct.py", "msgspec.py"):
        path = tmp_path / "here" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n")
    monkeypatch.chdir(tmp_path / "here")
    assert apart(context, len) is not None
    assert not (tmp_path / "ran").exists()


# What is large enough


def test_a_small_copy_starts_no_process(context: Path) -> None:
    seen: list[list[int]] = []
    with open_tree(context) as tree:
        sources = Sources(tree, False, None, None)
        copy_layer(Copy(("/d",), "/x"), sources, lambda _: seen.append(children()), None, Job())
    assert seen
    assert not any(seen)


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="one core: one process")
@pytest.mark.parametrize(
    ("add", "names", "several"),
    [
        (False, ("/d",), True),
        (True, ("/d",), True),
        (True, ("/d", "/d/a"), False),  # it may be an archive
        (False, ("/d/sub", "/d/a"), False),
    ],
)
def test_a_large_copy_starts_one(
    context: Path, add: bool, names: tuple[str, ...], several: bool
) -> None:
    seen: list[list[int]] = []
    op = Copy(names, "/x/", add=add)
    with open_tree(context) as tree:
        given = Sources(tree, False, None, None)
        done = copy_layer(op, given, lambda _: seen.append(children()), None, Job(), many=500)
        assert done.digest == content_digest(op, given, Job())
    assert any(seen) is several


def test_names_are_counted_up_to_a_limit(tmp_path: Path) -> None:
    for name in ("a/b/c", "a/d", "ignored/e", "f"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    (tmp_path / "link").symlink_to("a")
    with open_tree(tmp_path, parse_ignore("ignored\n")) as tree:
        assert count_names(tree, "", 100) == 7  # a left out directory counts as one
        assert count_names(tree, "a", 100) == 3
        assert count_names(tree, "", 5) == 5
        assert count_names(tree, "missing", 5) == 0


@pytest.mark.parametrize(
    ("error", "kind", "message"),
    [
        (FileNotFoundError(2, "No such file"), Conflict, "x changed while it was copied"),
        (PermissionError(13, "Permission denied"), Denied, "x cannot be read: Permission denied"),
        (OSError(5, "Input/output error"), Invalid, "x cannot be read: Input/output error"),
    ],
)
def test_what_cannot_be_read_is_named(
    error: OSError, kind: type[CortenError], message: str
) -> None:
    found = unreadable("x", error)
    assert type(found) is kind
    assert found.message == message


@pytest.mark.parametrize("way", [write_layer, copy_apart])
def test_a_file_that_vanishes_is_a_conflict(context: Path, way: Way) -> None:
    (context / "d/zz").write_bytes(b"z")
    # Listed in the directory that is read first, taken away before its turn comes.
    with open_tree(context) as tree, pytest.raises(Conflict, match="d/zz changed"):

        def write(data: bytes) -> None:
            (context / "d/zz").unlink(missing_ok=True)

        way(Copy(("/d",), "/x"), Sources(tree, False, None, None), write, None, Job())


def test_names_in_errors_keep_their_bytes() -> None:
    failed = Failed("Conflict", b"odd/not-\xff changed", b"build again")
    assert error_of(failed).args == ("odd/not-\udcff changed",)
