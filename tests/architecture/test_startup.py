"""Start-up is a feature: what fast commands may import, and what they may cost."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

import pytest

from corten.content.local import LocalStore
from support.catalog import write_images
from support.commands import COMMAND, corten, environment
from support.contents import plain_image
from support.registry_server import corten_registry

HEAVY = {
    "asyncio",
    "cryptography",
    "email",
    "http.client",
    "isal",
    "multiprocessing",
    "rich",
    "socket",
    "sqlalchemy",
    "ssl",
    "starlette",
    "urllib3",
    "uvicorn",
    "xml",
    "zstandard",
}
"""Never before a command needs them."""

FRAME = {"click", "dataclasses", "inspect", "json", "msgspec", "pathlib", "subprocess", "threading"}
"""Not on the fast path either: the listing is answered with SQLite alone."""

_PROBE = """
import json, sys
sys.argv = ["corten", *sys.argv[1:]]
from corten.cli.entry import main
try:
    status = main()
finally:
    sys.stdout.flush()
    sys.stderr.write("\\n" + json.dumps([status, sorted(sys.modules)]))
"""


def imported(root: Path, *arguments: str) -> set[str]:
    """The modules that a command has imported at its end; its status must be 0."""
    result = subprocess.run(
        [sys.executable, "-c", _PROBE, *arguments],
        env=environment(root),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    status, modules = json.loads(result.stderr.splitlines()[-1])
    assert status == 0, result.stderr
    return set(modules)


BARE = (sys.executable, "-c", "import pathlib, re, sqlite3, typing")
"""What any command of ours costs at least, on whatever machine: some 25 ms on a quick one."""


def cost(*arguments: str, root: Path, runs: int = 7) -> float:
    """The CPU that a command takes, as a multiple of `BARE`: both the least of some runs."""
    return least_cost([arguments] * runs, root)


def least_cost(commands: Iterable[Sequence[str]], root: Path) -> float:
    """The CPU of the cheapest of some commands that do alike, as a multiple of `BARE`."""
    bare, ours = [], []
    for arguments in commands:
        bare.append(cpu(BARE, root))
        ours.append(cpu((*COMMAND, *arguments), root))
    return min(ours) / min(bare)


def cpu(command: Sequence[str], root: Path) -> float:
    """The seconds of CPU that a command takes."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, env=environment(root), capture_output=True, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


@pytest.mark.parametrize(
    "arguments",
    [("--help",), ("version", "--help"), ("completion", "bash"), ("registry", "--help")],
    ids=" ".join,
)
def test_help_and_completion_import_nothing_heavy(
    arguments: tuple[str, ...], tmp_path: Path
) -> None:
    assert not imported(tmp_path, *arguments) & HEAVY


def test_importing_the_package_imports_nothing_of_it() -> None:
    code = "import sys, corten; print([m for m in sys.modules if m.startswith('corten.')])"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


def test_help_costs_little(tmp_path: Path) -> None:
    assert cost("--help", root=tmp_path) < 5
    assert corten("--help", root=tmp_path).returncode == 0


@pytest.fixture(scope="module")
def many_images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A root with 200 images."""
    root = tmp_path_factory.mktemp("many")
    write_images(
        root,
        ((f"docker.io/example/app{n}:latest", "2026-01-02T03:04:05Z", n) for n in range(200)),
    )
    return root


@pytest.mark.parametrize(
    "arguments",
    [("images",), ("images", "-q", "--no-trunc"), ("images", "example/app7"), ("image", "ls")],
    ids=" ".join,
)
def test_plain_listings_import_neither_frame_nor_anything_heavy(
    many_images: Path, arguments: tuple[str, ...]
) -> None:
    modules = imported(many_images, *arguments)
    assert "sqlite3" in modules
    # The probe itself needs json.
    assert not modules & (HEAVY | FRAME - {"json"})


def test_listing_two_hundred_images_costs_little_more_than_python(many_images: Path) -> None:
    assert corten("images", root=many_images).stdout.count("\n") == 201
    assert cost("images", root=many_images) < 1.7  # below 50 ms where Python takes 28


def test_removing_an_image_costs_three_times_as_much_as_python(tmp_path: Path) -> None:
    names = [f"docker.io/example/app{n}:latest" for n in range(8)]
    write_images(tmp_path, ((name, "2026-01-02T03:04:05Z", n) for n, name in enumerate(names)))
    assert corten("gc", root=tmp_path).returncode == 0  # the first command tries the drivers
    assert least_cost((("rmi", name) for name in names[1:]), tmp_path) < 3.2  # 90 ms
    assert corten("images", "-q", root=tmp_path).stdout.count("\n") == 1


def test_running_a_container_needs_no_frame() -> None:
    code = (
        "import sys, corten.cli.entry\n"
        "corten.cli.entry._import_msgspec()\n"
        "import corten.cli.quick_run, corten.cli.running\n"
        "import corten.cli.views.reporter, corten.engine.containers, corten.engine.host\n"
        "print(*sys.modules)"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    unwanted = {"click", "dataclasses", "importlib.resources", "inspect", "json", "tempfile"}
    assert not set(out.stdout.split()) & (HEAVY - {"socket"} | unwanted)


def test_an_unchanged_push_loads_the_http_library_and_little_else(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with corten_registry(tmp_path_factory.mktemp("registry")) as server:
        name = f"{server.host}/a:1"
        with LocalStore(tmp_path) as store:
            store.tag(name, plain_image(store, b"content").root)
        assert corten("push", name, root=tmp_path).returncode == 0
        modules = imported(tmp_path, "push", name)
        multiple = cost("push", name, root=tmp_path)
    assert multiple < 5.3  # below 150 ms, a third of it urllib3's
    assert "urllib3" in modules
    unwanted = {"click", "inspect", "importlib.metadata", "subprocess", "zipfile"}
    assert not modules & (HEAVY - {"asyncio", "email", "http.client", "socket", "ssl", "urllib3"})
    assert not modules & (unwanted | {"corten.content.copy", "corten.snapshot.unpacking"})
