"""RUN --mount in real containers: what steps see, what they leave behind, what makes them run again."""

from __future__ import annotations

import os
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from corten.builder import cache_mounts
from corten.builder.agents import AgentSource
from corten.builder.given import INSECURE, NETWORK_HOST, Given, Secret
from corten.dockerfile.errors import DockerfileError
from corten.errors import Invalid, NotFound
from support.building import BUSYBOX, Built, Workshop, needs_busybox

pytestmark = [pytest.mark.e2e, pytest.mark.root]


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workshop]:
    needs_busybox()
    made = Workshop(tmp_path_factory.mktemp("mounts"))
    made.write({"busybox": BUSYBOX.read_bytes()})
    try:
        made.build(
            "FROM scratch\nCOPY --chmod=755 busybox /bin/\n"
            'RUN ["/bin/busybox", "--install", "-s", "/bin"]\n',
            tags=("bb",),
        )
        (made.context / "busybox").unlink()
        yield made
    finally:
        made.close()


@pytest.fixture
def shop(one: Workshop) -> Iterator[Workshop]:
    yield one
    for path in one.context.iterdir():
        subprocess.run(["rm", "-rf", str(path)], check=True)
    assert one.leftovers() == []


def added(shop: Workshop, built: Built) -> dict[str, str]:
    """What the image has beyond its base: content of files, of others nothing."""
    found = {}
    with shop.tree(built) as tree:
        for folder, names, files in os.walk(tree):
            for name in (*names, *files):
                path = Path(folder, name)
                key = str(path.relative_to(tree))
                if key != "bin" and not key.startswith("bin/"):
                    found[key] = path.read_text() if path.is_file() else ""
    return found


def build(shop: Workshop, *lines: str, **wishes: object) -> dict[str, str]:
    return added(shop, shop.build("FROM bb\n" + "\n".join(lines) + "\n", **wishes))


# bind


def test_a_bind_shows_the_context_less_what_is_ignored_and_leaves_nothing(shop: Workshop) -> None:
    shop.write(
        {"src/a": "one\n", "src/sub/b": "two\n", "src/left": "x", ".dockerignore": "src/left\n"}
    )
    assert build(
        shop,
        "WORKDIR /work",
        "RUN --mount=target=in,source=src cat in/a in/sub/b > /out; ls in > /names;"
        " echo x 2>/dev/null > in/a || echo readonly > /how",
    ) == {"work": "", "out": "one\ntwo\n", "names": "a\nsub\n", "how": "readonly\n"}


def test_one_file_a_file_by_a_link_and_all_of_the_context_are_bound(shop: Workshop) -> None:
    shop.write({"a*": "star\n", "ab": "other\n"})
    (shop.context / "link").symlink_to("/ab")
    assert build(
        shop,
        "RUN --mount=target=/x/y/f,source=a* --mount=target=/g,source=link"
        " --mount=target=/all cat /x/y/f /g > /out; ls /all > /names",
    ) == {"out": "star\nother\n", "names": "Dockerfile\na*\nab\nlink\n"}


def test_an_empty_directory_is_bound(shop: Workshop) -> None:
    (shop.context / "empty").mkdir()
    assert build(shop, "RUN --mount=target=/e,source=empty ls -A /e > /names; test -d /e") == {
        "names": ""
    }


def test_what_is_written_to_a_bind_is_thrown_away(shop: Workshop) -> None:
    shop.write({"d/a": "old\n"})
    line = "RUN --mount=target=/d,source=d,rw echo new > /d/a; echo more > /d/b; cat /d/a /d/b > /o"
    assert build(shop, line) == {"o": "new\nmore\n"}
    assert build(shop, line, "RUN --mount=target=/d,source=d cat /d/a > /p; ls /d >> /p") == {
        "o": "new\nmore\n",
        "p": "old\na\n",
    }
    assert (shop.context / "d/a").read_text() == "old\n"


def test_stages_and_images_are_bound(shop: Workshop) -> None:
    built = shop.build(
        "FROM bb AS made\nRUN mkdir -p /r/d && echo hi > /r/d/f && ln -s /r/d /l && chown 3:4 /r/d/f\n"
        "FROM bb\nRUN --mount=from=made,source=/l,target=/m --mount=from=bb,target=/b"
        " cat /m/f > /o; stat -c %u:%g /m/f >> /o; test -x /b/bin/busybox && echo bb >> /o\n"
    )
    assert added(shop, built) == {"o": "hi\n3:4\nbb\n"}


def test_a_source_that_is_not_there_is_an_error_with_its_line(shop: Workshop) -> None:
    with pytest.raises(NotFound, match=r"^Dockerfile:2: no is not in the build context$"):
        shop.build("FROM bb\nRUN --mount=target=/d,source=no true\n")
    with pytest.raises(
        NotFound, match=r"^Dockerfile:2: /no is not in what is to be mounted at /d$"
    ):
        shop.build("FROM bb\nRUN --mount=target=/d,from=bb,source=no true\n")


def test_a_step_runs_again_only_when_what_it_binds_changed(shop: Workshop) -> None:
    shop.write({"d/a": "1\n", "other": "1"})
    text = "FROM bb\nRUN --mount=target=/d,source=d cat /d/a > /o\n"
    shop.build(text)
    shop.write({"other": "2"})
    os.utime(shop.context / "d/a", (5, 5))
    shop.build(text)
    assert set(shop.log.statuses()) == {"cached"}
    shop.write({"d/a": "2\n"})
    assert added(shop, shop.build(text)) == {"o": "2\n"}
    assert shop.log.statuses()[-1] == "done"
    shop.write({"d/a": "1\n"})
    shop.build(text)
    assert set(shop.log.statuses()) == {"cached"}


# where mounts go


def test_a_target_that_a_layer_deleted_leaves_nothing_either(shop: Workshop) -> None:
    shop.write({"f": "f\n"})
    built = shop.build(
        "FROM bb\nRUN mkdir -p /v/c/d /w/x && chmod 750 /v && chown 5:6 /v && touch -d @1000 /v\n"
        "RUN rm -r /v/c && rm -r /w && mkdir -m 700 /w && touch -d @2000 /v\n"
        "RUN --mount=type=tmpfs,target=/v/c/d --mount=source=f,target=/w/x stat -c '%a %u:%g %Y' /v;"
        " cat /w/x; touch /v/c/d/lost\n"
    )
    assert added(shop, built) == {"v": "", "w": ""}
    assert "750 5:6 2000\nf\n" in shop.log.output()
    assert len(built.config.diff_ids) == 4, "the last step changed nothing"


def test_a_target_s_links_are_followed_inside_the_image(shop: Workshop) -> None:
    shop.write({"f": "f\n"})
    assert build(
        shop,
        "RUN mkdir /real && ln -s ../../../../real /way && ln -s gone/deep /dangling",
        "RUN --mount=source=f,target=/way/new/f --mount=type=tmpfs,target=/dangling"
        " cat /real/new/f > /o; test -d /gone/deep",
    ) == {"real": "", "way": "", "dangling": "", "o": "f\n"}


@pytest.mark.parametrize(
    ("make", "mount", "error"),
    [
        ("touch /f", "type=tmpfs,target=/f", "mount target /f is a file in the image"),
        ("touch /f", "type=tmpfs,target=/f/x", "/f is no directory in the image"),
        ("mkdir /d", "source=Dockerfile,target=/d", "mount target /d is a directory in the image"),
        ("ln -s b /a; ln -s a /b", "type=tmpfs,target=/a", "symbolic links in a circle"),
        ("ln -s / /a", "type=tmpfs,target=/a", "mount target /a is a link to /"),
    ],
)
def test_a_target_that_something_is_in_the_way_of(
    shop: Workshop, make: str, mount: str, error: str
) -> None:
    with pytest.raises(Invalid, match=error):
        shop.build(f"FROM bb\nRUN {make}\nRUN --mount={mount} true\n")


# tmpfs and cache


def test_a_tmpfs_has_its_size_and_leaves_nothing(shop: Workshop) -> None:
    assert build(
        shop,
        "RUN --mount=type=tmpfs,target=/t,size=1m echo x > /t/x;"
        " dd if=/dev/zero of=/t/y bs=64k count=32 2>/dev/null || echo full > /o",
    ) == {"o": "full\n"}


def test_a_cache_keeps_what_steps_put_there(shop: Workshop) -> None:
    line = "RUN --mount=type=cache,target=/c,id=one,mode=0750,uid=7,gid=8 echo {} >> /c/log; "
    assert build(shop, line.format(1) + "stat -c '%a %u:%g' /c > /o") == {"o": "750 7:8\n"}
    assert build(shop, line.format(2) + "cat /c/log > /o") == {"o": "1\n2\n"}
    assert build(
        shop, "RUN --mount=type=cache,target=/c,id=one,ro cat /c/log > /o; echo 3 > /c/x || true"
    ) == {"o": "1\n2\n"}
    # Its content is in no cache key.
    shop.build("FROM bb\n" + line.format(2) + "cat /c/log > /o\n")
    assert set(shop.log.statuses()) == {"cached"}
    # Another id, also a hostile one, is another directory, and none leaves its place.
    for identity in ("two", "../../one", "/", "..", "a" * 3000):
        assert build(
            shop, f"RUN --mount=type=cache,target=/c,id={identity} ls -A /c > /o; touch /c/mine"
        ) == {"o": ""}
    places = cache_mounts.caches(shop.root / "cache")
    assert len(places) == 6
    assert all(place.parent == shop.root / "cache" / "mounts" for place in places)


def test_a_cache_begins_as_what_from_names(shop: Workshop) -> None:
    lines = (
        "FROM bb AS seed\nRUN mkdir -p /s/d && echo {0} > /s/d/f && chown 9 /s/d/f && ln /s/d/f /s/g\n"
        "FROM bb\nRUN --mount=type=cache,target=/c,id=seeded,from=seed,source=/s"
        " cat /c/d/f >> /c/all; stat -c '%u %h' /c/d/f > /o; cat /c/all >> /o; echo {0}{1} >/n\n"
    )
    assert added(shop, shop.build(lines.format(1, 1)))["o"] == "9 2\n1\n"
    assert added(shop, shop.build(lines.format(1, 2)))["o"] == "9 2\n1\n1\n"
    assert added(shop, shop.build(lines.format(2, 1)))["o"] == "9 2\n2\n", "another beginning"


@pytest.mark.parametrize(
    ("sharing", "together", "empty"),
    [("shared", True, False), ("private", True, True), ("locked", False, False)],
)
def test_how_two_steps_share_a_cache(
    shop: Workshop, sharing: str, together: bool, empty: bool
) -> None:
    # Each waits until it sees the other, by way of a second cache, or half a second.
    mounts = (
        f"--mount=type=cache,target=/c,id={sharing},sharing={sharing}"
        f" --mount=type=cache,target=/meet,id=meet-{sharing}"
    )
    step = (
        "FROM bb AS {0}\nRUN " + mounts + " touch /c/{0} /meet/{0}; n=0;"
        " while [ ! -e /meet/{1} ] && [ $n -lt 12 ]; do usleep 50000; n=$((n+1)); done;"
        " [ $n -lt 12 ] && [ -e /meet/{1} ] && echo met > /met-{0}; usleep 100000;"
        " ls /c > /ls-{0}; rm /meet/{0}; true\n"
    )
    names = added(
        shop,
        shop.build(
            step.format("a", "b") + step.format("b", "a") + "FROM bb\nRUN --mount=from=a,target=/a"
            " --mount=from=b,target=/b cp /a/*-a /b/*-b / || true\n"
        ),
    )
    assert ("met-a" in names and "met-b" in names) is together
    assert (names["ls-a"], names["ls-b"]).count("a\nb\n") == (0 if empty else 2 if together else 1)


def test_caches_are_forgotten_unless_they_are_used(shop: Workshop) -> None:
    build(shop, "RUN --mount=type=cache,target=/c,id=kept echo x > /c/x")
    folder = shop.root / "cache"
    before = cache_mounts.caches(folder)
    held = before[0]
    with (held / "lock").open() as file:
        import fcntl

        fcntl.flock(file, fcntl.LOCK_SH)
        cache_mounts.forget(folder)
    assert cache_mounts.caches(folder) == [held]
    assert cache_mounts.forget(folder) > 0
    assert cache_mounts.caches(folder) == []
    assert build(shop, "RUN --mount=type=cache,target=/c,id=kept ls -A /c > /o") == {"o": ""}


# secrets and agents


def test_a_secret_is_a_file_or_a_variable_and_nowhere_else(shop: Workshop, tmp_path: Path) -> None:
    value = f"s3cr3t-{os.urandom(8).hex()}"
    (tmp_path / "s").write_text(value)
    given = Given(secrets={"file": Secret(path=str(tmp_path / "s")), "var": Secret(env="V")})
    text = (
        "RUN --mount=type=secret,id=file --mount=type=secret,id=var,env=TOKEN"
        " --mount=type=secret,id=file,target=/deep/x,mode=0440,uid=7,gid=8,env=BOTH"
        " stat -c '%a %u:%g' /run/secrets/file /deep/x > /o;"
        f" grep -q -x {value[:4]}.* /run/secrets/file && echo read >> /o;"
        ' [ "$TOKEN" = "$BOTH" ] && [ "$BOTH" = "$(cat /deep/x)" ] && echo same >> /o;'
        " find / -xdev -name private 2>/dev/null; true"
    )
    found = build(shop, text, given=given, environ={"V": value}, no_cache=True)
    assert found == {"o": "400 0:0\n440 7:8\nread\nsame\n"}
    assert_nowhere(shop.root, value)
    assert value not in repr(shop.log.events)
    # Another value is no reason to run the step again.
    (tmp_path / "s").write_text("other")
    build(shop, text, given=given, environ={"V": "other"})
    assert set(shop.log.statuses()) == {"cached"}


def assert_nowhere(root: Path, value: str) -> None:
    done = subprocess.run(
        ["grep", "-rlF", value, str(root)], check=False, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (1, "")


def test_a_missing_secret_is_an_error_only_if_it_is_required(shop: Workshop) -> None:
    assert build(
        shop,
        "RUN --mount=type=secret,id=no,env=N --mount=type=secret,id=no --mount=type=ssh"
        " [ -e /run ] || echo $N$SSH_AUTH_SOCK > /o",
    ) == {"o": "\n"}
    with pytest.raises(NotFound, match="Dockerfile:2: the secret no is required") as caught:
        shop.build("FROM bb\nRUN --mount=type=secret,id=no,required true\n")
    assert caught.value.hint == "corten build --secret id=no,src=FILE"
    with pytest.raises(NotFound, match="Dockerfile:2: the SSH agent default is required"):
        shop.build("FROM bb\nRUN --mount=type=ssh,required true\n")


def test_an_agent_is_lent_by_its_socket(shop: Workshop) -> None:
    seen: list[bytes] = []
    folder = shop.root / "agent"
    with socket.socket(socket.AF_UNIX) as agent:
        agent.bind(str(folder))
        agent.listen()
        agent.settimeout(20)

        def answer() -> None:
            with agent.accept()[0] as connection:
                seen.append(connection.recv(100))
                connection.sendall(struct.pack(">IBI", 5, 12, 0))
                seen.append(connection.recv(100))

        def ask() -> None:
            root = in_step("run/buildkit/ssh_agent.0")
            with socket.socket(socket.AF_UNIX) as step:
                step.settimeout(10)
                step.connect(f"{root}/run/buildkit/ssh_agent.0")
                step.sendall(struct.pack(">IB", 1, 11))  # which keys are there
                seen.append(step.recv(100))
                step.sendall(struct.pack(">IB", 1, 19))  # forget them all
                seen.append(step.recv(100))
            Path(root, "dev/asked").touch()

        threads = [threading.Thread(target=each, daemon=True) for each in (answer, ask)]
        for thread in threads:
            thread.start()
        names = build(
            shop,
            "RUN --mount=type=ssh,mode=0666,uid=5"
            " echo $SSH_AUTH_SOCK > /o; stat -c '%F %a %u' $SSH_AUTH_SOCK >> /o;"
            " n=0; while [ ! -e /dev/asked ] && [ $n -lt 200 ]; do usleep 50000; n=$((n+1)); done",
            given=Given(agents={"default": AgentSource(str(folder))}),
        )
        for thread in threads:
            thread.join(10)
    folder.unlink()
    assert seen == [b"\0\0\0\1\x0b", b"\0\0\0\5\x0c\0\0\0\0", b"\0\0\0\1\5", b""]
    assert names == {"o": "/run/buildkit/ssh_agent.0\nsocket 666 5\n"}


def in_step(path: str) -> str:
    """The root directory of a process that has the mount `path`, as a path of ours."""
    end = time.monotonic() + 10
    while time.monotonic() < end:
        for process in Path("/proc").iterdir():
            pid = process.name
            if pid.isdigit() and os.path.lexists(f"/proc/{pid}/root/{path}"):
                return f"/proc/{pid}/root"
        time.sleep(0.05)
    raise TimeoutError(path)


# the rest of RUN


def test_a_document_with_an_interpreter_line_is_a_program(shop: Workshop) -> None:
    assert build(
        shop,
        'RUN <<EOF\n#!/bin/awk -f\nBEGIN { print "$HOME" > "/o" }\nEOF',
        "RUN cat <<A > /p && cat <<'B' >> /p\n$((1+1))\nA\n$((1+1))\nB",
        "RUN sh <<-X\n\techo tab > /q\n\tX",
    ) == {"o": "$HOME\n", "p": "2\n$((1+1))\n", "q": "tab\n"}


def test_insecure_steps_and_the_host_s_network_are_rights(shop: Workshop) -> None:
    text = "FROM bb\nRUN --security=insecure grep CapEff /proc/self/status > /o\n"
    with pytest.raises(DockerfileError, match="Dockerfile:2: RUN --security=insecure is not") as no:
        shop.build(text)
    assert no.value.hint == "if you trust the Dockerfile: corten build --allow security.insecure"
    found = added(shop, shop.build(text, given=Given(allowed=frozenset({INSECURE}))))
    usual = build(shop, "RUN grep CapEff /proc/self/status > /o")
    assert int(found["o"].split()[1], 16) > int(usual["o"].split()[1], 16)
    net = "FROM bb\nRUN --network=host ls /sys/class/net > /o\n"
    with pytest.raises(DockerfileError, match="RUN --network=host is not allowed"):
        shop.build(net, network="none")
    shop.build(net, network="none", given=Given(allowed=frozenset({NETWORK_HOST})))


def test_hosts_are_known_to_steps_alone(shop: Workshop) -> None:
    names = build(shop, "RUN cat /etc/hosts > /o", hosts=("db.test=10.1.2.3",))
    assert names["o"].endswith("10.1.2.3\tdb.test\n")
    assert set(names) == {"o"}
