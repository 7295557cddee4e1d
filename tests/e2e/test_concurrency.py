"""Two hundred commands at once on one store: every one answers what some order of them allows,
and afterwards everything is whole and nothing is left over.

``CORTEN_TEST_AT_ONCE=200`` has all of them alive at the same time.
"""

from __future__ import annotations

import hashlib
import os
import random
import re
import shutil
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import pytest

from corten.runtime.crun import root_scope
from support import busybox
from support.commands import COMMAND, corten, environment
from support.registry_server import ServerProcess, corten_registry

pytestmark = [pytest.mark.root, pytest.mark.e2e]

COMMANDS = 200
AT_ONCE = int(os.environ.get("CORTEN_TEST_AT_ONCE", "32"))
IMAGES = 4

# What no interleaving excuses.
_NEVER = re.compile(
    r"Traceback|locked|damaged|is [0-9a-f:]+, not|corrupt|timed? ?out|busy|unexpected|No such file",
    re.IGNORECASE,
)
_ABSENT = re.compile(r"no image '?\S+'? here|there is no image")
_USED = re.compile(r"is used by the (running|stopped) container")


class Command(NamedTuple):
    """A command line, and what is wrong with how it ended (empty: nothing)."""

    words: tuple[str, ...]
    judge: Callable[[subprocess.CompletedProcess[str]], str]


class Ground(NamedTuple):
    """The store, the registry's images in it by number, and what each of them prints."""

    root: Path
    scratch: Path
    names: tuple[str, ...]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with corten_registry(tmp_path_factory.mktemp("registry")) as running:
        yield running


@pytest.fixture
def ground(server: ServerProcess, tmp_path: Path) -> Iterator[Ground]:
    """An empty store and a registry with images that share a layer."""
    maker, root = tmp_path / "maker", tmp_path / "root"
    busybox.build(maker, tmp_path / "base")
    names = tuple(f"{server.host}/team/img{number}:1" for number in range(IMAGES))
    for number, name in enumerate(names):
        _context(tmp_path / f"img{number}", "busybox", f"img{number}", run=False)
        succeed("build", "-q", "-t", name, str(tmp_path / f"img{number}"), root=maker)
        succeed("push", "-q", name, root=maker)
    for number in range(IMAGES):
        _context(tmp_path / f"ctx{number}", names[number], f"built{number}", run=number % 2 == 0)
    yield Ground(root, tmp_path, names)
    for row in corten("ps", "-aq", root=root).stdout.split():
        corten("rm", "-f", row, root=root)


def _context(folder: Path, base: str, text: str, *, run: bool) -> None:
    folder.mkdir()
    (folder / "who").write_text(f"{text}\n")
    step = "RUN echo ran > /ran\n" if run else ""
    (folder / "Dockerfile").write_text(f"FROM {base}\nCOPY who /who\n{step}")


def succeed(*words: str, root: Path) -> str:
    done = corten(*words, root=root, timeout=300)
    assert done.returncode == 0, (words, done.stderr)
    return done.stdout


# The commands, and how each may end


def _fine(done: subprocess.CompletedProcess[str]) -> str:
    return "" if done.returncode == 0 else "it failed"


def _prints(*texts: str) -> Callable[[subprocess.CompletedProcess[str]], str]:
    def judge(done: subprocess.CompletedProcess[str]) -> str:
        if done.returncode == 0 and done.stdout in texts:
            return ""
        return f"it printed {done.stdout!r}"

    return judge


def _or(
    judge: Callable[[subprocess.CompletedProcess[str]], str], *excuses: re.Pattern[str]
) -> Callable[[subprocess.CompletedProcess[str]], str]:
    def judged(done: subprocess.CompletedProcess[str]) -> str:
        said = done.stderr
        if done.returncode and any(excuse.search(said) for excuse in excuses):
            return ""
        return judge(done)

    return judged


def commands(ground: Ground, rng: random.Random) -> list[Command]:
    """A mixture in which every command meets every other."""
    makers = (
        _pull, _pull, _run, _run, _run, _run_here, _build, _build, _remove, _remove, _tag, _gc,
        _list,
    )  # fmt: skip
    return [makers[n % len(makers)](ground, rng.randrange(IMAGES), rng) for n in range(COMMANDS)]


def _pull(ground: Ground, number: int, rng: random.Random) -> Command:
    return Command(("pull", "-q", ground.names[number]), _fine)


def _run(ground: Ground, number: int, rng: random.Random) -> Command:
    """What is not there is pulled: this always works."""
    network = rng.choice(["none", "none", "host", "bridge"])
    words = ("run", "--rm", "--network", network, ground.names[number], "cat", "/who")
    return Command(words, _prints(f"img{number}\n"))


def _run_here(ground: Ground, number: int, rng: random.Random) -> Command:
    """A built image or a name that moves, which may not be there yet or any more."""
    name = rng.choice([f"built{number}", "moving"])
    texts = [f"built{number}\n"] if name != "moving" else [f"img{n}\n" for n in range(IMAGES)]
    words = ("run", "--rm", "--network", "none", "--pull", "never", name, "cat", "/who")
    return Command(words, _or(_prints(*texts), _ABSENT, re.compile("there is no blob|is not here")))


def _build(ground: Ground, number: int, rng: random.Random) -> Command:
    cache = ("--no-cache",) if rng.random() < 0.3 else ()
    context = str(ground.scratch / f"ctx{number}")
    return Command(("build", "-q", *cache, "-t", f"built{number}", context), _fine)


def _remove(ground: Ground, number: int, rng: random.Random) -> Command:
    name = rng.choice([ground.names[number], f"built{number}", "moving"])
    return Command(("rmi", name), _or(_fine, _ABSENT, _USED))


def _tag(ground: Ground, number: int, rng: random.Random) -> Command:
    excuses = (_ABSENT, re.compile("there is no (image|blob)"))
    return Command(("tag", ground.names[number], "moving"), _or(_fine, *excuses))


def _gc(ground: Ground, number: int, rng: random.Random) -> Command:
    cache = ("--cache",) if rng.random() < 0.3 else ()
    return Command(("gc", "--grace", rng.choice(["0", "0", "600"]), *cache), _fine)


def _list(ground: Ground, number: int, rng: random.Random) -> Command:
    return Command((rng.choice(["images", "ps"]),), _fine)


def _do(root: Path, command: Command) -> str:
    """Run it; what is wrong."""
    done = subprocess.run(
        [*COMMAND, *command.words],
        env=environment(root),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )
    wrong = command.judge(done)
    if _NEVER.search(done.stderr):
        wrong = wrong or "it said what may never be said"
    if not wrong:
        return ""
    return f"{' '.join(command.words)}: {wrong}, status {done.returncode}\n{done.stderr[-1500:]}"


def test_two_hundred_commands_on_one_store(ground: Ground) -> None:
    root, rng = ground.root, random.Random(20261124)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        wrong = [said for said in pool.map(lambda c: _do(root, c), commands(ground, rng)) if said]
    assert not wrong, f"{len(wrong)} of {COMMANDS}:\n" + "\n".join(wrong)

    # Everything is whole ...
    for file in (root / "content" / "blobs" / "sha256").iterdir():
        assert hashlib.sha256(file.read_bytes()).hexdigest() == file.name
    checked = corten("system", "check", root=root)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert checked.stdout.endswith(": all is well\n")  # and nothing is left behind
    for name in succeed("images", "--format", "{{.Repository}}:{{.Tag}}", root=root).split():
        if "<none>" not in name:
            shown = succeed("run", "--rm", "--pull", "never", name, "cat", "/who", root=root)
            assert re.fullmatch(r"(img|built)\d\n", shown), name
    # ... and works, whatever was removed.
    for number, name in enumerate(ground.names):
        succeed("pull", "-q", name, root=root)
        shown = succeed("run", "--rm", "--network", "none", name, "cat", "/who", root=root)
        assert shown == f"img{number}\n"

    assert succeed("ps", "-aq", root=root) == ""
    assert leftovers(root) == []
    # Without images and cache there is nothing at all.
    for image in set(succeed("images", "-q", root=root).split()):
        succeed("rmi", "-f", image, root=root)
    succeed("gc", "--grace", "0", "--cache", root=root)
    assert sorted(remains(root)) == []


def leftovers(root: Path) -> list[str]:
    """What belongs to the root and should be gone when no command runs."""
    found = [
        line for line in Path("/proc/self/mountinfo").read_text().splitlines() if str(root) in line
    ]
    scope = root_scope(root)
    for words in (["ip", "-o", "link"], ["nft", "list", "tables"]):
        if shutil.which(words[0]):
            shown = subprocess.run(words, capture_output=True, text=True, check=True).stdout
            found += [line for line in shown.splitlines() if scope in line]
    found += [str(p) for p in Path("/sys/fs/cgroup").glob(f"**/*{scope}*") if p.is_dir()]
    with closing(sqlite3.connect(root / "catalog.db")) as catalog:
        found += [f"lease {row}" for row in catalog.execute("SELECT * FROM leases")]
    held = ("*.lease", "*.claim", "*.new", "*.part")
    found += [str(p) for pattern in held for p in (root / "content" / "ingest").glob(pattern)]
    found += [str(p) for p in (root / "snapshots").glob(".*")]
    found += [str(p) for p in (root / "snapshots").glob("*/snapshot.json")]
    found += [str(p) for p in (root / "containers").iterdir() if not p.name.startswith(".")]
    return found


def remains(root: Path) -> Iterator[str]:
    """Content, layers, stacks and rows of a store."""
    for folder in ("content/blobs/*/*", "layers/*/*", "stacks/*/*", "containers/.old-*"):
        yield from (str(p) for p in root.glob(folder) if not p.name.endswith("lock"))
    with closing(sqlite3.connect(root / "catalog.db")) as catalog:
        for table in ("names", "images", "leases"):
            yield from (f"{table}: {row}" for row in catalog.execute(f"SELECT * FROM {table}"))
