"""The commands as a user meets them, on a real store with real containers."""

from __future__ import annotations

import json
import re
import signal
import subprocess
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from support import busybox
from support.commands import COMMAND, corten, environment
from support.terminal import Terminal

pytestmark = [pytest.mark.root, pytest.mark.e2e]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("commands")
    root = folder / "root"
    busybox.build(root, folder / "context")
    yield root
    left = corten("ps", "-aq", root=root).stdout.split()
    if left:
        corten("rm", "-f", *left, root=root)


@pytest.fixture
def root(store: Path) -> Iterator[Path]:
    """The store; containers of the test go with it."""
    yield store
    left = corten("ps", "-aq", root=store).stdout.split()
    if left:
        corten("rm", "-f", *left, root=store)


def context(folder: Path, dockerfile: str) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "Dockerfile").write_text(dockerfile)
    return folder


def ok(*arguments: str, root: Path) -> str:
    """Standard output of a command that must succeed."""
    done = corten(*arguments, root=root)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_build_prints_progress_to_stderr_and_the_result_to_stdout(
    root: Path, tmp_path: Path
) -> None:
    folder = context(tmp_path / "c", "FROM busybox\nRUN echo one; echo two >&2\nLABEL a=b\n")
    idfile = tmp_path / "id"
    first = corten(
        "build",
        "-t",
        "x/built",
        "-t",
        "x/built:v1",
        "--iidfile",
        str(idfile),
        str(folder),
        root=root,
    )
    assert first.returncode == 0, first.stderr
    identity = idfile.read_text()
    assert first.stdout.splitlines() == [
        f"Successfully built {identity[7:19]}",
        "Successfully tagged x/built:latest",
        "Successfully tagged x/built:v1",
    ]
    assert re.search(r"^#\d+ \[.*\] RUN echo one; echo two >&2$", first.stderr, re.MULTILINE)
    assert re.search(r"^#\d+ \d+\.\d\d one$", first.stderr, re.MULTILINE)
    assert re.search(r"^#\d+ \d+\.\d\d two$", first.stderr, re.MULTILINE)
    again = corten("build", "-t", "x/built", str(folder), root=root)
    assert re.search(r"^#\d+ CACHED$", again.stderr, re.MULTILINE)
    quiet = corten("build", "-q", str(folder), root=root)
    assert (quiet.stdout, quiet.stderr) == (f"{identity}\n", "")
    ok("rmi", "x/built", "x/built:v1", root=root)


def test_a_dockerfile_comes_from_standard_input(root: Path, tmp_path: Path) -> None:
    text = "FROM busybox\nLABEL from=input\n"
    folder = context(tmp_path / "c", "FROM scratch\n")
    built = [
        subprocess.run(
            [*COMMAND, "build", "-q", *arguments],
            input=text, env=environment(root), capture_output=True, text=True, check=True,
        ).stdout
        for arguments in (["-"], ["-f", "-", str(folder)], ["-f", "/dev/stdin", str(folder)])
    ]  # fmt: skip
    assert built[0] == built[1] == built[2]
    label = ok("inspect", "-f", "{{.Config.Labels.from}}", built[0].strip(), root=root)
    assert label == "input\n"
    refused = corten("build", "svn://example.com/x", root=root)
    assert "contexts are not fetched by svn://" in refused.stderr


def test_build_events_are_json_lines(root: Path, tmp_path: Path) -> None:
    folder = context(tmp_path / "c", "FROM busybox\nRUN echo json-line\n")
    done = corten("build", "--progress=json", "--no-cache", "-q", str(folder), root=root)
    assert done.stderr == ""  # quiet wins
    done = corten("--progress", "json", "build", "--no-cache", str(folder), root=root)
    events = [json.loads(line) for line in done.stderr.splitlines()]
    assert {event["event"] for event in events} >= {"started", "output", "finished"}
    assert any(event.get("text") == "json-line\n" for event in events)


def test_a_failing_step_shows_its_output_and_ends_with_one_line(root: Path, tmp_path: Path) -> None:
    folder = context(tmp_path / "c", "FROM busybox\nRUN echo the-reason >&2; exit 7\n")
    done = corten("build", "-t", "x/never", str(folder), root=root)
    assert done.returncode == 1
    assert done.stdout == ""
    assert "the-reason" in done.stderr
    assert done.stderr.count("corten: ") == 1
    assert "Traceback" not in done.stderr
    assert ok("images", "-q", "x/never", root=root) == ""


def test_build_on_a_terminal_is_live_and_folds_the_output(root: Path, tmp_path: Path) -> None:
    folder = context(tmp_path / "c", "FROM busybox\nRUN echo folded-line; sleep 0.5\n")
    command = [*COMMAND, "build", "--no-cache", "-t", "x/live", str(folder)]
    with Terminal(command, environment(root)) as terminal:
        assert terminal.wait() == 0
    text = terminal.text.decode()
    assert "│ folded-line" in text
    last = text.rpartition("│ folded-line")[2]
    assert "✓" in last
    assert "Successfully tagged x/live:latest" in last
    assert last.rindex("\x1b[?25h") > last.rfind("\x1b[?25l")
    ok("rmi", "x/live", root=root)


def test_the_first_interrupt_cancels_a_build_and_leaves_nothing(root: Path, tmp_path: Path) -> None:
    folder = context(tmp_path / "c", "FROM busybox\nRUN echo started; sleep 3599\n")
    with subprocess.Popen(
        [*COMMAND, "build", "-t", "x/never", str(folder)],
        env=environment(root),
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if re.fullmatch(r"#\d+ \d+\.\d\d started\n", line):
                break
        process.send_signal(signal.SIGINT)
        rest = process.stderr.read()
        assert process.wait(timeout=30) == 130
    assert "cancelling…" in rest
    assert "CANCELLED" in rest
    assert rest.endswith("corten: cancelled\n")
    assert "sleep 3599" not in subprocess.run(
        ["ps", "-eo", "args"], capture_output=True, text=True, check=True
    ).stdout.replace("RUN echo started; sleep 3599", "")
    assert ok("images", "-q", "x/never", root=root) == ""


def test_tag_history_inspect_and_rmi(root: Path) -> None:
    ok("tag", "busybox", "x/other:v2", root=root)
    rows = ok("history", "x/other:v2", root=root).splitlines()
    assert rows[0].split() == ["IMAGE", "CREATED", "CREATED", "BY", "SIZE", "COMMENT"]
    assert "COPY busybox /bin/busybox" in rows[-1]
    (document,) = json.loads(ok("image", "inspect", "x/other:v2", root=root))
    assert sorted(document["RepoTags"]) == ["busybox:latest", "x/other:v2"]
    assert document["Config"]["Cmd"] == ["sh"]
    short = ok("images", "-q", "x/other", root=root).strip()
    assert ok("image", "inspect", "-f", "{{.Id}}", short, root=root) == f"{document['Id']}\n"
    assert ok("rmi", "x/other:v2", root=root) == "Untagged: x/other:v2\n"
    assert ok("images", "x/other", root=root).count("\n") == 1


def test_one_wrong_name_among_several_does_not_stop_the_rest(root: Path) -> None:
    ok("tag", "busybox", "x/a", root=root)
    ok("tag", "busybox", "x/b", root=root)
    done = corten("rmi", "x/a", "x/missing", "x/b", root=root)
    assert done.returncode == 1
    assert done.stdout == "Untagged: x/a:latest\nUntagged: x/b:latest\n"
    assert done.stderr.splitlines()[0].startswith("corten: no image 'x/missing'")
    done = corten("image", "inspect", "busybox", "x/missing", root=root)
    assert done.returncode == 1
    assert len(json.loads(done.stdout)) == 1


def test_run_passes_output_input_and_status_through(root: Path) -> None:
    done = corten("run", "--rm", "busybox", "sh", "-c", "echo out; echo err >&2; exit 5", root=root)
    assert (done.returncode, done.stdout, done.stderr) == (5, "out\n", "err\n")
    echoed = subprocess.run(
        [*COMMAND, "run", "--rm", "-i", "busybox", "tr", "a-z", "A-Z"],
        env=environment(root),
        input="text\n" * 10000,
        capture_output=True,
        text=True,
        check=True,
    )
    assert echoed.stdout == "TEXT\n" * 10000
    assert ok("ps", "-aq", root=root) == ""


def test_a_container_that_cannot_be_created_leaves_no_volume(root: Path) -> None:
    ok("create", "--name", "first", "-v", "/data", "busybox", root=root)
    before = sorted((root / "volumes").iterdir())
    done = corten("run", "--name", "first", "-v", "/data", "busybox", "true", root=root)
    assert done.returncode == 125
    assert "'first' is in use" in done.stderr
    assert sorted((root / "volumes").iterdir()) == before
    ok("rm", "-v", "first", root=root)


def test_a_relative_root_does_as_well(root: Path) -> None:
    done = subprocess.run(
        [*COMMAND, "--root", f"./{root.name}", "run", "--rm", "busybox", "echo", "here"],
        env=environment(),
        cwd=root.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "here\n", "")


def test_options_after_the_image_belong_to_the_command(root: Path) -> None:
    assert (
        ok("run", "--rm", "busybox", "echo", "--rm", "-d", "--help", root=root)
        == "--rm -d --help\n"
    )


def test_layers_with_too_many_files_to_be_merged_are_run_as_a_stack(
    root: Path, tmp_path: Path
) -> None:
    lines = ["FROM busybox", *(f"COPY Dockerfile /bin/new{number}" for number in range(4))]
    folder = context(tmp_path / "c", "\n".join(lines))
    ok("build", "-q", "-t", "x/stacked", str(folder), root=root)
    stacks = root / "stacks/erofs"
    before = set(stacks.glob("[0-9a-f]*"))
    command = ("run", "--rm", "--network=none", "x/stacked", "cmp", "/bin/new1", "/bin/new3")
    done = corten(*command, env=environment(root, CORTEN_MERGE_LIMIT="20"))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert set(stacks.glob("[0-9a-f]*")) == before
    assert ok(*command, root=root) == ""
    assert len(set(stacks.glob("[0-9a-f]*")) - before) == 1


def test_run_options_reach_the_container(root: Path) -> None:
    done = corten(
        *("run", "--rm", "-e", "A=1", "-w", "/bin", "-u", "7:8", "-h", "box", "--read-only"),
        *("busybox", "sh", "-c", "echo $A $PWD $(id -u):$(id -g) $(hostname); echo > /x"),
        root=root,
    )
    assert done.stdout == "1 /bin 7:8 box\n"
    assert "Read-only file system" in done.stderr


def test_a_terminal_for_the_container(root: Path) -> None:
    command = [*COMMAND, "run", "--rm", "-it", "busybox", "sh"]
    with Terminal(command, environment(root), size=(90, 30)) as terminal:
        terminal.read_until(lambda text: b"#" in text)
        terminal.type(b"stty size; exit 6\n")
        assert terminal.wait() == 6
    assert b"30 90" in terminal.text


def contains(wanted: bytes, text: bytes) -> bool:
    return wanted in text


@pytest.mark.parametrize("detached", [False, True])
def test_a_terminal_is_left_and_joined_again_and_again(root: Path, detached: bool) -> None:
    def shell(*arguments: str) -> Terminal:
        return Terminal([*COMMAND, *arguments], environment(root))

    start = ("run", "--name", "shell", "-it", "busybox", "sh")
    if detached:
        ok(*start[:1], "-d", *start[1:], root=root)
    else:
        with shell(*start) as terminal:
            terminal.read_until(lambda text: b"#" in text)
            terminal.type(b"\x10\x11")
            assert terminal.wait() == 0
    for turn in range(3):
        with shell("attach", "shell") as terminal:
            terminal.type(b"echo $((70 + %d)).\n" % turn)
            terminal.read_until(partial(contains, b"7%d." % turn), 10)
            terminal.type(b"\x10\x11")
            assert terminal.wait() == 0
    with shell("attach", "shell") as terminal:
        terminal.type(b"exit 6\n")
        assert terminal.wait() == 6


def test_what_is_no_terminal_cannot_type_on_the_containers(root: Path) -> None:
    done = corten("run", "--name", "typist", "-it", "busybox", "sh", root=root)
    assert done.returncode == 125
    assert "the input is not a terminal" in done.stderr
    assert ok("ps", "-aq", root=root) == ""
    ok("run", "-dit", "--name", "typist", "busybox", "sh", root=root)
    assert "not a terminal" in corten("attach", "typist", root=root).stderr


def test_the_life_of_a_container(root: Path) -> None:
    identity = ok("run", "-d", "--name", "web", "busybox", "sleep", "1000", root=root).strip()
    assert re.fullmatch("[0-9a-f]{64}", identity)
    header, row = ok("ps", root=root).splitlines()
    assert header.split()[:2] == ["CONTAINER", "ID"]
    assert row.startswith(f"{identity[:12]}   busybox")
    assert row.endswith("web")
    assert ok("ps", "-q", "--no-trunc", root=root) == f"{identity}\n"
    assert ok("exec", "-e", "X=1", "-w", "/bin", "web", "sh", "-c", "echo $X $PWD", root=root) == (
        "1 /bin\n"
    )
    assert corten("exec", "web", "sh", "-c", "exit 9", root=root).returncode == 9
    assert corten("exec", "web", "nothing", root=root).returncode == 127
    assert ok("stop", "-t", "0", "web", root=root) == "web\n"
    assert ok("ps", "-q", root=root) == ""
    assert "Exited (137)" in ok("ps", "-a", root=root)
    assert ok("rename", "web", "web2", root=root) == ""
    assert ok("start", "web2", root=root) == "web2\n"
    assert ok("kill", "-s", "KILL", "web2", root=root) == "web2\n"
    assert ok("wait", "web2", root=root) == "137\n"
    assert ok("rm", identity[:6], root=root) == f"{identity[:6]}\n"
    assert ok("ps", "-aq", root=root) == ""


def test_logs_keep_the_streams_apart(root: Path) -> None:
    script = "echo one; echo two >&2; printf three"
    corten("run", "--name", "talker", "busybox", "sh", "-c", script, root=root)
    done = corten("logs", "talker", root=root)
    assert (done.stdout, done.stderr) == ("one\nthree", "two\n")
    stamped = ok("logs", "-t", "talker", root=root).splitlines()
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT[0-9:.]+(Z|[+-]\d\d:\d\d) one", stamped[0])
    assert ok("logs", "--tail", "1", "talker", root=root) == "three"
    assert ok("logs", "-n", "0", "talker", root=root) == ""
    assert corten("logs", "--tail", "x", "talker", root=root).returncode == 2


def test_following_a_log_ends_with_the_container(root: Path) -> None:
    script = "for i in 1 2 3; do echo $i; sleep 0.1; done"
    ok("run", "-d", "--name", "counter", "busybox", "sh", "-c", script, root=root)
    assert ok("logs", "-f", "counter", root=root) == "1\n2\n3\n"


def test_create_and_start_attached(root: Path) -> None:
    identity = ok("create", "--name", "later", "busybox", "sh", "-c", "echo hi; exit 2", root=root)
    assert "Created" in ok("ps", "-a", root=root)
    done = corten("start", "-a", "later", root=root)
    assert (done.returncode, done.stdout) == (2, "hi\n")
    assert ok("rm", identity.strip(), root=root) == identity


def test_container_names_complete(root: Path) -> None:
    ok("create", "--name", "finder", "busybox", root=root)
    line = "corten rm fi"
    env = environment(root, COMP_WORDS=line, COMP_CWORD="2")
    env["_CORTEN_COMPLETE"] = "bash_complete"
    assert corten(env=env).stdout == "plain,finder\n"


def test_info_says_which_driver_and_why(root: Path) -> None:
    driver = ok("info", "--format", "{{.StorageDriver}}", root=root).strip()
    assert driver in ("erofs", "overlay")
    text = ok("info", root=root)
    assert f"StorageDriver: {driver}\n" in text
    assert re.search(r"^StorageDriverReason: \w", text, re.MULTILINE)


def test_a_reader_that_has_enough_ends_the_container(root: Path) -> None:
    command = " ".join([*COMMAND, "run", "--rm", "--network=none", "busybox", "yes"])
    done = subprocess.run(
        ["bash", "-c", f"{command} | head -n 1; exit ${{PIPESTATUS[0]}}"],
        env=environment(root),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.stdout, done.stderr, done.returncode) == ("y\n", "", 141)
    assert ok("ps", "-aq", root=root) == ""
