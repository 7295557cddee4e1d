"""Real builds: layers mounted, commands run, images read back."""

from __future__ import annotations

import http.server
import os
import resource
import stat
import subprocess
import sys
import tarfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from corten.builder.cache import BuildCache
from corten.dockerfile.errors import DockerfileError
from corten.errors import Cancelled, CortenError, Invalid, NotFound, StepFailed
from corten.events.job import Job
from corten.events.model import Event, Finished, Output, Started
from corten.oci import media
from corten.oci.descriptor import Descriptor
from corten.oci.digest import Digest
from support.building import BUSYBOX, Workshop, needs_busybox

pytestmark = [pytest.mark.root, pytest.mark.e2e]

BASE = """FROM scratch
COPY --chmod=755 busybox /bin/busybox
RUN ["/bin/busybox", "--install", "-s", "/bin"]
"""


@pytest.fixture(params=["erofs", "overlay"])
def shop(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Workshop]:
    """A workshop per driver; whatever a test does, nothing may be left behind."""
    needs_busybox()
    made = Workshop(tmp_path, request.param)
    made.write({"busybox": BUSYBOX.read_bytes()})
    try:
        yield made
        assert made.leftovers() == []
    finally:
        made.close()


@pytest.fixture
def one(tmp_path: Path) -> Iterator[Workshop]:
    """A workshop with the driver that this machine chooses, and a base image ``bb``."""
    needs_busybox()
    made = Workshop(tmp_path)
    made.write({"busybox": BUSYBOX.read_bytes()})
    try:
        made.build(BASE, tags=("bb",))
        (made.context / "busybox").unlink()
        yield made
        assert made.leftovers() == []
    finally:
        made.close()


def test_an_image_from_nothing_runs_commands(shop: Workshop) -> None:
    shop.write({"a.txt": "hello", "d/x": "1", "d/y/z": "2"})
    built = shop.build(
        BASE + "ENV A=b\nWORKDIR /app\nCOPY a.txt d ./\n"
        "RUN echo $A $(pwd) > out && mkdir /var && chmod 1777 /var\nRUN true\n"
        'EXPOSE 80\nCMD ["cat", "out"]\n'
    )
    with shop.tree(built) as tree:
        assert (tree / "app/out").read_text() == "b /app\n"
        assert (tree / "app/y/z").read_text() == "2"
        assert stat.S_IMODE((tree / "var").stat().st_mode) == 0o1777
        assert (tree / "bin/sh").is_symlink()
        # What a run needs mounted leaves no trace in a layer.
        assert sorted(path.name for path in tree.iterdir()) == ["app", "bin", "var"]
    config = built.config
    assert config.config.cmd == ("cat", "out")
    assert [entry.empty_layer for entry in config.history] == [
        False, False, True, False, False, False, True, True, True,
    ]  # fmt: skip
    assert len(config.diff_ids) == 5
    assert [layer.digest for layer in built.manifest.layers] == list(config.diff_ids)
    assert {layer.media_type for layer in built.manifest.layers} == {media.OCI_LAYER}
    assert set(built.log.statuses()) == {"done"}


def test_stages_take_from_one_another(shop: Workshop) -> None:
    built = shop.build(
        BASE
        + "RUN mkdir -p /out/sub && echo one > /out/sub/f && chown -R 7:8 /out/sub && ln /out/sub/f /out/g\n"
        "FROM scratch AS second\nCOPY --from=0 /out/ /got/\n"
        "FROM second\nCOPY --from=second --chown=1 /got/g /h\n"
    )
    with shop.tree(built) as tree:
        assert (tree / "got/sub/f").read_text() == "one\n"
        state = (tree / "got/sub/f").stat()
        assert (state.st_uid, state.st_gid, state.st_nlink) == (7, 8, 2)
        assert ((tree / "h").stat().st_uid, (tree / "h").stat().st_gid) == (1, 1)
        assert not (tree / "bin").exists()


def test_deletions_and_replacements_reach_the_image(shop: Workshop) -> None:
    shop.write({"d/a": "a", "d/b": "b"})
    built = shop.build(
        BASE + "COPY d /d\nRUN rm /d/a && rm -r /d && mkdir /d && echo c > /d/c\nRUN rm /d/c\n"
    )
    with shop.tree(built) as tree:
        assert list((tree / "d").iterdir()) == []


def test_a_base_image_is_built_upon(one: Workshop) -> None:
    one.build(
        'FROM bb\nENV X=1\nLABEL l=base\nUSER 5:6\nCMD ["c"]\nONBUILD RUN echo trig > /tmp/t\n',
        tags=("mid",),
    )
    one.build(
        "FROM bb\nRUN mkdir -m 1777 /tmp\nONBUILD COPY a /a\nONBUILD RUN cat /a > /b\n",
        tags=("trig",),
    )
    one.write({"a": "from the context"})
    built = one.build("FROM trig\nRUN cat /b && id -u\n")
    assert one.log.output() == "from the context0\n"
    assert built.config.config.on_build == ()
    assert [h.created_by for h in built.config.history][-3:] == [
        "COPY a /a", "RUN /bin/sh -c cat /a > /b", "RUN /bin/sh -c cat /b && id -u",
    ]  # fmt: skip


def test_users_and_working_directories(one: Workshop) -> None:
    one.write({"passwd": "root:x:0:0:r:/root:/bin/sh\nme:x:1000:1001:m:/home/me:/bin/sh\n"})
    built = one.build(
        "FROM bb\nCOPY passwd /etc/passwd\nUSER me\nWORKDIR /home/me\nWORKDIR sub\n"
        "RUN echo $HOME $(id -u):$(id -g) $(pwd) > f\nUSER root\nRUN id -u\n"
    )
    assert one.log.output() == "0\n"
    with one.tree(built) as tree:
        assert (tree / "home/me/sub/f").read_text() == "/home/me 1000:1001 /home/me/sub\n"
        assert (tree / "home/me/sub").stat().st_uid == 1000


def test_add_unpacks_archives(one: Workshop) -> None:
    with tarfile.open(one.context / "a.tgz", "w:gz") as tar:
        one.write({"payload": "inside"})
        tar.add(one.context / "payload", "deep/payload")
    built = one.build("FROM bb\nADD a.tgz /opt/\nCOPY a.tgz /copied/\nRUN cat /opt/deep/payload\n")
    assert one.log.output() == "inside"
    with one.tree(built) as tree:
        assert (tree / "copied/a.tgz").is_file()


def test_heredocs_are_scripts_and_files(one: Workshop) -> None:
    built = one.build(
        "FROM bb\nARG WHO=you\nCOPY <<A <<-'B' /d/\nhello ${WHO}\nA\n\traw ${WHO}\n\tB\n"
        "RUN <<E\nset -e\ncat /d/A\nE\nRUN cat <<E > /e\nx $WHO\nE\n"
    )
    assert one.log.output() == "hello you\n"
    with one.tree(built) as tree:
        assert (tree / "d/B").read_text() == "raw ${WHO}\n"
        assert (tree / "e").read_text() == "x you\n"


# The cache


CACHED = """FROM bb AS tool
RUN echo tool > /t
FROM bb
ARG V=1
COPY a b* /x/
RUN echo $V > /v
ENV E=1
RUN echo done
COPY --from=tool /t /t
WORKDIR /w
"""


def _edit(old: str, new: str) -> Callable[[Workshop], dict[str, Any]]:
    def change(shop: Workshop) -> dict[str, Any]:
        assert old in CACHED
        shop.write({"Dockerfile": CACHED.replace(old, new)})
        return {}

    return change


def _write(name: str, text: str) -> Callable[[Workshop], dict[str, Any]]:
    def change(shop: Workshop) -> dict[str, Any]:
        shop.write({name: text})
        return {}

    return change


def _touch(shop: Workshop) -> dict[str, Any]:
    os.utime(shop.context / "a", (1, 1))
    return {}


def _chmod(shop: Workshop) -> dict[str, Any]:
    (shop.context / "a").chmod(0o755)
    return {}


def _wish(**wishes: Any) -> Callable[[Workshop], dict[str, Any]]:
    return lambda shop: wishes


def _lose_last_layer(shop: Workshop) -> dict[str, Any]:
    with BuildCache(shop.root / "cache") as cache:
        before = cache.layers()
    descriptor = shop.store.resolve("docker.io/library/x:latest")
    _, config = shop.read(descriptor)
    assert config.diff_ids[-1] in before
    path = shop.store.locate(
        Descriptor(media_type=media.OCI_LAYER, digest=config.diff_ids[-1], size=0)
    )
    path.unlink()
    return {}


@pytest.mark.parametrize(
    ("change", "ran"),
    [
        (_wish(), ""),
        (_touch, ""),
        (_write("unrelated", "x"), ""),
        (_edit("ENV E=1", "ENV E=1\nLABEL new=1\nCMD x"), ""),
        (_edit("FROM bb AS tool", "# a comment\nFROM bb AS tool"), ""),
        (_edit("FROM bb AS tool\nRUN echo tool > /t", "FROM bb AS tool\nRUN  echo tool > /t"), ""),
        (_wish(build_args={"HTTP_PROXY": "http://127.0.0.1:1"}), ""),
        (_wish(labels={"l": "1"}), ""),
        (_wish(threads=1), ""),
        (_write("a", "changed"), "COPY a|RUN echo $V|RUN echo done|COPY --from|WORKDIR"),
        (_chmod, "COPY a|RUN echo $V|RUN echo done|COPY --from|WORKDIR"),
        (_write("b2", "new"), "COPY a|RUN echo $V|RUN echo done|COPY --from|WORKDIR"),
        (_wish(build_args={"V": "2"}), "RUN echo $V|RUN echo done|COPY --from|WORKDIR"),
        # It runs, but changes nothing: what follows has the same to start from.
        (_edit("ENV E=1", "ENV E=2"), "RUN echo done"),
        (_edit("echo tool >", "echo other >"), "RUN echo other|COPY --from|WORKDIR"),
        # Another way to the same file: what follows does not run again.
        (_edit("echo tool >", "echo $(echo tool) >"), "RUN echo $(echo tool)"),
        (_edit("COPY a b*", "COPY b* a"), "COPY b*|RUN echo $V|RUN echo done|COPY --from|WORKDIR"),
        (_edit("WORKDIR /w", "WORKDIR /w2"), "WORKDIR /w2"),
        (_lose_last_layer, "WORKDIR"),
    ],
)  # fmt: skip
def test_what_runs_again_after_a_change(
    one: Workshop, change: Callable[[Workshop], dict[str, Any]], ran: str
) -> None:
    one.write({"a": "a", "b1": "b", "Dockerfile": CACHED})
    one.build(tags=("x",))
    wishes = change(one)
    steps = one.build(**wishes).log.steps()
    done = [name.partition("] ")[2] for name, state in steps.items() if state == "done"]
    wanted = ran.split("|") if ran else []
    assert len(done) == len(wanted), done
    for prefix in wanted:
        assert any(name.startswith(prefix) for name in done), done


def test_no_cache_runs_everything_and_copies_give_the_same_digest(one: Workshop) -> None:
    one.write({"a": "a", "d/b": "b"})
    text = "FROM bb\nWORKDIR /w\nCOPY a .\nADD d /d/\nCOPY --from=bb /bin/busybox /copy\nCMD x\n"
    first = one.build(text)
    again = one.build(no_cache=True)
    assert set(again.log.statuses()) == {"done"}
    assert again.result.descriptor == first.result.descriptor
    assert set(one.build().log.statuses()) == {"cached"}


@pytest.mark.parametrize("threads", [1, 2, 8])
def test_threads_do_not_change_the_digest(one: Workshop, threads: int) -> None:
    stages = [f"FROM bb AS s{i}\nCOPY f{i} /f\nWORKDIR /w{i}\n" for i in range(8)]
    copies = [f"COPY --from=s{i} /f /got/{i}\n" for i in range(8)]
    one.write({f"f{i}": str(i) * 1000 for i in range(8)})
    text = "".join(stages) + "FROM bb\n" + "".join(copies)
    first = one.build(text, threads=4)
    again = one.build(threads=threads, no_cache=True)
    assert again.result.descriptor == first.result.descriptor
    assert again.result.image_id == first.result.image_id


def test_another_root_gives_the_same_digest(tmp_path: Path) -> None:
    needs_busybox()
    found = set()
    for name in ("one", "two"):
        shop = Workshop(tmp_path / name)
        try:
            shop.write({"a": "a", "d/b": "b"})
            for path in (shop.context / "a", shop.context / "d/b", shop.context / "d"):
                os.utime(path, (1_700_000_000, 1_700_000_000))
            built = shop.build("FROM scratch\nWORKDIR /w\nCOPY a d ./\nLABEL a=b\n")
            assert built.config.created == "2023-11-14T22:13:20Z"
            found.add(built.result.descriptor.digest)
        finally:
            shop.close()
    assert len(found) == 1


def test_source_date_epoch_stands_for_all_times_of_the_build(one: Workshop) -> None:
    one.write({"a": "a"})
    built = one.build(
        "FROM bb\nCOPY a /new/a\nRUN echo x > /x\nCMD y\n",
        environ={"SOURCE_DATE_EPOCH": "1000000000"},
    )
    assert built.config.created == "2001-09-09T01:46:40Z"
    assert {h.created for h in built.config.history[-3:]} == {"2001-09-09T01:46:40Z"}
    with one.tree(built) as tree:
        assert (tree / "new").stat().st_mtime == 1_000_000_000


def test_times_never_go_back_in_a_history(one: Workshop) -> None:
    one.write({"a": "a"})
    os.utime(one.context / "a", (1, 1))
    times = [h.created for h in one.build("FROM bb\nCOPY a /a\nCMD x\n").config.history]
    assert times == sorted(times)


def test_a_cached_build_of_ten_steps_is_quick_from_a_new_process(one: Workshop) -> None:
    one.write({f"f{i}": str(i) for i in range(200)})
    steps = "".join(f"COPY f{i} /f{i}\n" for i in range(4))
    one.build(
        f"FROM bb\nCOPY f* /all/\n{steps}WORKDIR /w\nRUN echo 1\nRUN echo 2 > /2\nRUN echo 3\nRUN echo 4\n"
    )
    script = (
        "import sys; from pathlib import Path\n"
        "from corten.builder.build import BuildRequest, Equipment, build\n"
        "from corten.builder.plan import BaseImage\nfrom corten.content.local import LocalStore\n"
        "from corten.events.job import Job\nfrom corten.oci.image_config import parse_config\n"
        "from corten.oci.manifest import parse_document\nfrom corten.oci.platform import Platform\n"
        "def never(): raise AssertionError('a cached build mounts and runs nothing')\n"
        "root = Path(sys.argv[1])\n"
        "with LocalStore(root) as store:\n"
        "    def resolve(request, pull, job):\n"
        "        with store.open(store.resolve('docker.io/library/bb:latest')) as file:\n"
        "            manifest = parse_document(file.read())\n"
        "        with store.open(manifest.config) as file:\n"
        "            return BaseImage('docker.io/library/bb:latest', parse_config(file.read()))\n"
        "    request = BuildRequest(context=Path(sys.argv[2]), host=store.platform)\n"
        "    build(request, Equipment(store, never, never, resolve, root / 'cache'), Job())\n"
        "slow = {'urllib3', 'asyncio', 'rich', 'subprocess', 'zstandard', 'isal', 'click', 'ssl'}\n"
        "assert not slow & set(sys.modules), slow & set(sys.modules)\n"
    )
    # As installed: with byte code, wherever it may be written.
    environ = {
        name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"
    }
    environ["PYTHONPYCACHEPREFIX"] = str(one.root / "bytecode")
    bare = best = 10.0
    for _ in range(8):
        bare = min(bare, _cpu("import pathlib, re, sqlite3, typing"))
        best = min(best, _cpu(script, str(one.root), str(one.context), env=environ))
    assert best < 8.9 * bare, f"{best:.3f} s of CPU, Python alone {bare:.3f}"  # 250 ms


def _cpu(script: str, *arguments: str, env: dict[str, str] | None = None) -> float:
    """The seconds of CPU that a Python program takes."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-c", script, *arguments], check=True, env=env)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu: float = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
    return cpu


# Surroundings of RUN


def test_a_step_gets_proxies_and_certificates_but_the_image_does_not(one: Workshop) -> None:
    built = one.build(
        "FROM bb\nRUN echo $http_proxy $HTTPS_PROXY $SSL_CERT_FILE && head -c 5 $SSL_CERT_FILE >/dev/null\n"
        "RUN env > /env0 && ls /dev/.corten && rm /env0\n",
        environ={"http_proxy": "http://127.0.0.1:9"},
        build_args={"HTTPS_PROXY": "http://127.0.0.1:8"},
    )
    output = one.log.output()
    assert output.startswith(
        "http://127.0.0.1:9 http://127.0.0.1:8 /dev/.corten/ca-certificates.crt"
    )
    assert [entry.partition("=")[0] for entry in built.config.config.env] == ["PATH"]
    assert "127.0.0.1" not in str(built.config)
    with one.tree(built) as tree:
        assert not (tree / "dev/.corten").exists()


def test_what_the_step_sets_itself_is_left_alone(one: Workshop) -> None:
    one.build(
        "FROM bb\nENV SSL_CERT_FILE=/mine\nARG http_proxy=http://mine\nRUN echo $SSL_CERT_FILE $http_proxy $PIP_CERT\n",
        environ={"http_proxy": "http://127.0.0.1:9"},
    )
    assert one.log.output() == "/mine http://mine /dev/.corten/ca-certificates.crt\n"


def test_a_step_without_network_has_only_loopback(one: Workshop) -> None:
    one.build("FROM bb\nRUN --network=none ls /sys/class/net\n")
    assert one.log.output().split() == ["lo"]
    one.build("FROM bb\nRUN echo 1; ls /sys/class/net\n", network="none")
    assert one.log.output().split() == ["1", "lo"]


# Failures


def test_a_failing_run_says_where_what_and_how_and_leaves_nothing(shop: Workshop) -> None:
    with pytest.raises(StepFailed) as caught:
        shop.build(BASE + "\nRUN echo before; \\\n  exit 7\nCOPY missing /\n", tags=("never",))
    error = caught.value
    assert (
        str(error)
        == "Dockerfile:5: RUN failed with exit status 7: /bin/sh -c echo before;   exit 7"
    )
    assert error.status == 7
    assert shop.log.output() == "before\n"
    assert "failed" in shop.log.statuses()
    with pytest.raises(NotFound):
        shop.store.resolve("docker.io/library/never:latest")


def test_what_came_before_a_failure_is_cached(one: Workshop) -> None:
    with pytest.raises(StepFailed):
        one.build("FROM bb\nRUN echo 1 > /1\nRUN false\n")
    assert one.build("FROM bb\nRUN echo 1 > /1\nRUN true\n").log.statuses() == ["cached", "done"]


def test_a_cancelled_build_stops_its_command_and_leaves_nothing(one: Workshop) -> None:
    from corten.builder.build import build

    one.write({"Dockerfile": "FROM bb\nRUN echo begun && sleep 100\n"})
    events: list[Event] = []
    job: Job

    def emit(event: Event) -> None:
        events.append(event)
        if isinstance(event, Output) and b"begun" in event.data:
            job.cancel()

    job = Job(emit)
    begin = time.monotonic()
    with pytest.raises(Cancelled):
        build(one.request(), one.equipment(), job)
    assert time.monotonic() - begin < 30


@pytest.mark.parametrize(
    ("text", "kind", "message"),
    [
        (
            "FROM bb\nCOPY missing /\n",
            NotFound,
            "Dockerfile:2: missing is not in the build context",
        ),
        ("FROM bb\nCOPY --from=bb /nope /\n", NotFound, "Dockerfile:2: nope is not in image bb"),
        ("FROM bb\nCOPY --chown=ghost Dockerfile /\n", Invalid, "Dockerfile:2: user 'ghost'"),
        ("FROM bb\nUSER ghost\nRUN true\n", CortenError, "ghost"),
        ("FROM bb\nCOPY Dockerfile /bin\nCOPY Dockerfile /bin/sh/x\n", Invalid, "Dockerfile:3: "),
        ('FROM bb\nRUN ["/no/such"]\n', CortenError, "/no/such"),
        ("FROM nothere\n", NotFound, "Dockerfile:1: "),
        ("FROM bb\nFOO\n", DockerfileError, "Dockerfile:2: unknown instruction FOO"),
    ],
)
def test_mistakes_name_the_line(
    one: Workshop, text: str, kind: type[CortenError], message: str
) -> None:
    with pytest.raises(kind) as caught:
        one.build(text)
    assert message in str(caught.value)


def test_a_missing_dockerfile_says_how_to_name_it(one: Workshop) -> None:
    with pytest.raises(NotFound) as caught:
        one.build(dockerfile_path=one.context / "Nope")
    assert str(caught.value) == f"there is no Nope in {one.context}"
    assert caught.value.hint == "-f FILE names another Dockerfile"


@pytest.mark.parametrize("tags", [(), ("docker.io/example/hello:v1",)])
def test_the_last_event_has_the_images_id(one: Workshop, tags: tuple[str, ...]) -> None:
    built = one.build("FROM bb\nRUN true\n", tags=tags)
    started = [event for event in one.log.events if isinstance(event, Started)][-1]
    last = one.log.events[-1]
    assert isinstance(last, Finished)
    assert (started.id, started.parent, started.kind) == (last.id, "", "image")
    assert started.name == ("example/hello:v1" if tags else "without a name")
    assert (last.status, last.detail) == ("done", str(built.result.image_id))


def test_unused_build_arguments_are_warned_of(one: Workshop) -> None:
    one.build("FROM bb\n", build_args={"X": "1"})
    assert one.log.warnings() == ["build arguments that no ARG asks for: X"]


def test_a_build_without_a_tag_is_kept(one: Workshop) -> None:
    built = one.build("FROM bb\nLABEL only=here\n")
    assert (
        one.store.resolve(str(built.result.descriptor.digest)).digest
        == built.result.descriptor.digest
    )


# URLs


class _Files(http.server.BaseHTTPRequestHandler):
    """One file with an ETag, and a count of how often it was sent."""

    content = b"from afar"
    sent = 0

    def do_GET(self) -> None:
        kind = type(self)
        tag = f'"{Digest.of(kind.content).short}"'
        if self.path == "/missing":
            self.send_error(404)
            return
        if self.headers.get("If-None-Match") == tag:
            self.send_response(304)
            self.end_headers()
            return
        self.send_response(200)
        self.send_header("ETag", tag)
        self.send_header("Last-Modified", "Tue, 14 Nov 2023 22:13:20 GMT")
        short = self.path == "/short"
        self.send_header("Content-Length", str(len(kind.content) + (5 if short else 0)))
        self.end_headers()
        self.wfile.write(kind.content)
        kind.sent += 1

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[str]:
    _Files.content, _Files.sent = b"from afar", 0
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Files) as serving:
        thread = threading.Thread(target=serving.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{serving.server_address[1]}"
        finally:
            serving.shutdown()
            thread.join()


def test_a_url_is_fetched_once_and_again_when_it_changed(one: Workshop, server: str) -> None:
    text = f"FROM bb\nADD {server}/dir/file.txt?q=1 /x/\nADD --chmod=644 {server}/file /y\n"
    built = one.build(text)
    with one.tree(built) as tree:
        state = (tree / "x/file.txt").stat()
        assert (tree / "x/file.txt").read_bytes() == b"from afar"
        assert (stat.S_IMODE(state.st_mode), state.st_mtime) == (0o600, 1_700_000_000)
        assert stat.S_IMODE((tree / "y").stat().st_mode) == 0o644
    sent = _Files.sent
    assert one.build().log.statuses() == ["cached", "cached"]
    assert _Files.sent == sent
    _Files.content = b"something else"
    assert one.build().log.statuses() == ["done", "done"]


@pytest.mark.parametrize(
    ("path", "to", "message"),
    [
        ("/missing", "/x", "answers 404"),
        ("/short", "/x", "cannot fetch"),
        ("/", "/x/", "no file name"),
        ("/..", "/x/", "no file name"),
    ],
)
def test_a_url_that_cannot_be_had_is_an_error(
    one: Workshop, server: str, path: str, to: str, message: str
) -> None:
    with pytest.raises(CortenError, match=message) as caught:
        one.build(f"FROM bb\nADD {server}{path} {to}\n")
    assert str(caught.value).startswith("Dockerfile:2: ")


def test_a_host_that_does_not_answer_is_unavailable(one: Workshop) -> None:
    with pytest.raises(CortenError, match=r"fetch http://127\.0\.0\.1:1/x: connection refused$"):
        one.build("FROM bb\nADD http://127.0.0.1:1/x /x\n")
