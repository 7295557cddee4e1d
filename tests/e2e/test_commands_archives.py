"""save, load, import, export and copy as commands."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from corten.config.settings import Settings
from corten.engine import archives
from corten.engine.host import Host
from corten.errors import Cancelled
from corten.events.job import Job
from support import busybox
from support.commands import COMMAND, corten, environment
from support.tars import file, pack

pytestmark = [pytest.mark.root, pytest.mark.e2e]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("archives")
    busybox.build(folder / "root", folder / "context")
    return folder / "root"


def ok(*arguments: str, root: Path) -> str:
    """Standard output of a command that must succeed."""
    done = corten(*arguments, root=root)
    assert done.returncode == 0, done.stderr
    return done.stdout


def ids(root: Path, *names: str) -> list[str]:
    return ok("images", "-q", "--no-trunc", *names, root=root).split()


@pytest.mark.parametrize("form", ["docker", "oci"])
def test_a_saved_image_is_the_same_after_loading(root: Path, tmp_path: Path, form: str) -> None:
    archive, other = tmp_path / "image.tar", tmp_path / "other"
    assert ok("save", "--format", form, "-o", str(archive), "busybox", root=root) == ""
    said = ok("load", "-q", "-i", str(archive), root=other)
    assert said == "Loaded image: busybox:latest\n"
    assert ids(other) == ids(root, "busybox")
    assert (
        ok("run", "--rm", "--network=none", "busybox", "echo", "loaded", root=other) == "loaded\n"
    )


@pytest.mark.parametrize("command", ["save", "export"])
def test_a_reader_that_goes_away_is_no_failure(root: Path, command: str) -> None:
    if command == "export":
        ok("create", "--name", "read", "busybox", root=root)
    try:
        _read_nothing(root, command, "busybox" if command == "save" else "read")
    finally:
        if command == "export":
            ok("rm", "read", root=root)


def _read_nothing(root: Path, *arguments: str) -> None:
    with subprocess.Popen(
        [*COMMAND, *arguments],
        env=environment(root),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        said = process.stderr.read()
    assert process.returncode == 141
    for word in ("Errno", "pipe", "fail", "ERROR", "corten:"):
        assert word not in said


def test_an_archive_through_pipes_and_gzip(root: Path, tmp_path: Path) -> None:
    saved = subprocess.run(
        [*COMMAND, "save", "busybox"], env=environment(root), capture_output=True, check=True
    )
    packed = subprocess.run(["gzip", "-1"], input=saved.stdout, capture_output=True, check=True)
    loaded = subprocess.run(
        [*COMMAND, "load"],
        env=environment(tmp_path / "other"),
        input=packed.stdout,
        capture_output=True,
        check=True,
    )
    assert loaded.stdout == b"Loaded image: busybox:latest\n"
    assert ids(tmp_path / "other") == ids(root, "busybox")


def test_a_file_that_cannot_be_completed_does_not_appear(root: Path, tmp_path: Path) -> None:
    target = tmp_path / "image.tar"
    done = corten("save", "-o", str(target), "busybox", "nowhere", root=root)
    assert done.returncode == 1
    assert "nowhere" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_export_and_import_make_a_flat_image(root: Path, tmp_path: Path) -> None:
    tar = tmp_path / "tree.tar"
    corten("run", "--name", "changed", "busybox", "sh", "-c", "echo new > /added", root=root)
    try:
        ok("export", "-o", str(tar), "changed", root=root)
    finally:
        ok("rm", "changed", root=root)
    digest = ok(
        "import", "-c", 'CMD ["cat", "/added"]', "-m", "flat", str(tar), "x/flat", root=root
    )
    assert digest.startswith("sha256:")
    assert ok("run", "--rm", "--network=none", "x/flat", root=root) == "new\n"
    assert "flat" in ok("history", "x/flat", root=root)
    again = ok("import", "-c", 'CMD ["cat", "/added"]', "-m", "flat", str(tar), root=root)
    assert again == digest
    ok("rmi", "x/flat", root=root)


def test_a_tree_that_climbs_out_is_not_imported(root: Path, tmp_path: Path) -> None:
    tar = tmp_path / "bad.tar"
    tar.write_bytes(pack(file(b"fine", b"1"), file(b"../../out", b"2")))
    before = ok("images", "-qa", root=root)
    done = corten("import", str(tar), "x/bad", root=root)
    assert done.returncode == 1
    assert "climbs out of the layer" in done.stderr
    assert ok("images", "-qa", root=root) == before


def test_copy_goes_between_places_and_keeps_the_digest(root: Path, tmp_path: Path) -> None:
    layout, archive = f"oci:{tmp_path}/layout:v1", f"oci-archive:{tmp_path}/image.tar"
    digest = ok("copy", "busybox", layout, root=root)
    assert ok("copy", layout, archive, root=root) == digest
    assert ok("copy", archive, "x/back:v1", root=tmp_path / "other") == digest
    assert ids(tmp_path / "other", "x/back") == ids(root, "busybox")


def test_an_archive_of_a_damaged_layout_is_refused(root: Path, tmp_path: Path) -> None:
    layout = tmp_path / "layout"
    ok("copy", "busybox", f"oci:{layout}", root=root)
    largest = max((layout / "blobs" / "sha256").iterdir(), key=lambda path: path.stat().st_size)
    with largest.open("r+b") as file:
        file.write(b"damage")
    for transport in ("oci-archive", "docker-archive"):
        done = corten("copy", f"oci:{layout}", f"{transport}:{tmp_path}/image.tar", root=root)
        assert done.returncode == 1
        assert largest.name in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["layout"]
    assert [path.name for path in root.iterdir() if path.name.startswith("archive-")] == []


def test_a_cancelled_export_ends_at_once(root: Path) -> None:
    ok("create", "--name", "still", "busybox", root=root)
    job = Job()
    pieces: list[int] = []

    def write(data: bytes) -> None:
        pieces.append(len(data))
        job.cancel()

    try:
        with Host(Settings(root)) as host, pytest.raises(Cancelled):
            archives.export(host, "still", write, job)
    finally:
        ok("rm", "still", root=root)
    assert len(pieces) == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("copy", "busybox", "oci:"), "'oci:' names no"),
        (("copy", "nowhere", "oci:x"), "no image 'nowhere'"),
        (("load", "-i", "/nonexistent"), "/nonexistent"),
        (("save", "-o", "/nonexistent/a.tar", "busybox"), "cannot write /nonexistent/a.tar: No"),
        (("import", "/nonexistent"), "/nonexistent"),
        (("export", "nobody"), "no container 'nobody'"),
    ],
)
def test_mistakes_are_one_line(root: Path, arguments: tuple[str, ...], message: str) -> None:
    done = corten(*arguments, root=root)
    assert done.returncode == 1
    assert done.stdout == ""
    line = next(line for line in done.stderr.splitlines() if line.startswith("corten: "))
    assert message in line
