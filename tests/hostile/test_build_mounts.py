"""Mounts of RUN that try to reach, or to leave, what they should not."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from corten.builder.given import Given, Secret
from corten.errors import CortenError, NotFound
from support.building import BUSYBOX, Workshop, needs_busybox

pytestmark = [pytest.mark.root]


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Workshop]:
    needs_busybox()
    (tmp_path / "secret").write_text("outside")
    made = Workshop(tmp_path)
    made.write({"busybox": BUSYBOX.read_bytes()})
    try:
        made.build(
            "FROM scratch\nCOPY --chmod=755 busybox /bin/\n"
            'RUN ["/bin/busybox", "--install", "-s", "/bin"]\n',
            tags=("bb",),
        )
        (made.context / "busybox").unlink()
        yield made
        assert made.leftovers() == []
        assert (tmp_path / "secret").read_text() == "outside"
        assert sorted(path.name for path in tmp_path.iterdir()) == ["context", "root", "secret"]
    finally:
        made.close()


def test_sources_do_not_climb_out_of_the_context(shop: Workshop, tmp_path: Path) -> None:
    (shop.context / "up").symlink_to("..")
    (shop.context / "out").symlink_to("../secret")
    (shop.context / "absolute").symlink_to(tmp_path / "secret")
    for source in ("../secret", "/../../secret", "up/secret", "out", "absolute"):
        with pytest.raises(NotFound):
            shop.build(f"FROM bb\nRUN --mount=target=/t,source={source} cat /t\n")
    # As a link in a directory it leads to a place in the step.
    shop.build(
        "FROM bb\nRUN --mount=target=/t cat /t/out; cat /t/absolute; cat /t/up/secret; true\n"
    )
    assert "outside" not in shop.log.output()


def test_sources_do_not_climb_out_of_a_stage(shop: Workshop, tmp_path: Path) -> None:
    stage = (
        f"FROM bb AS s\nRUN ln -s {tmp_path} /abs; ln -s ../../../../../../../..{tmp_path} /rel\n"
    )
    for source in ("abs/secret", "rel/secret", "abs", f"../../..{tmp_path}/secret"):
        for mount in ("type=bind,rw", "type=cache"):
            with pytest.raises(CortenError, match=r"not in|no directory"):
                shop.build(
                    stage
                    + f"FROM bb\nRUN --mount={mount},from=s,target=/t,source={source} cat /t\n"
                )


def test_targets_do_not_climb_out_of_the_step(shop: Workshop, tmp_path: Path) -> None:
    shop.write({"f": "payload"})
    built = shop.build(
        f"FROM bb\nRUN ln -s {tmp_path} /abs; ln -s ../../../../../../../..{tmp_path} /rel;"
        " ln -s /proc/self/root /magic; mkdir /w\nWORKDIR /w\n"
        f"RUN --mount=source=f,target=../../../..{tmp_path}/evil1 cat {tmp_path}/evil1\n"
        "RUN --mount=source=f,target=/abs/evil2 --mount=type=cache,target=/rel/evil3"
        " --mount=type=secret,id=s,target=/abs/evil4 cat /abs/evil2; touch /rel/evil3/x\n",
        given=Given(secrets={"s": Secret(env="S")}),
        environ={"S": "s"},
    )
    assert not list(tmp_path.glob("evil*"))
    with shop.tree(built) as tree:
        assert sorted(p.name for p in tree.iterdir()) == ["abs", "bin", "magic", "rel", "w"]


def test_a_step_cannot_change_what_another_one_sees_of_a_stage(shop: Workshop) -> None:
    # One writes to the stage and swaps its directories while the other reads: both have a
    # view of their own, and the layer stays what it was.
    built = shop.build(
        "FROM bb AS s\nRUN mkdir -p /d/e && echo good > /d/e/f\n"
        "FROM bb AS swap\nRUN --mount=from=s,target=/s,rw --mount=type=cache,target=/m"
        " touch /m/a; for n in 1 2 3 4 5 6 7 8 9; do mv /s/d/e /s/d/x; ln -s /etc /s/d/e;"
        " rm /s/d/e; mv /s/d/x /s/d/e; echo bad > /s/d/e/f; usleep 20000; done; cp /s/d/e/f /bad\n"
        "FROM bb AS read\nRUN --mount=from=s,source=/d,target=/d --mount=type=cache,target=/m"
        " for n in 1 2 3 4 5 6 7 8 9; do cat /d/e/f >> /seen; usleep 20000; done;"
        " mv /d/e /d/x 2> /dev/null || echo refused >> /seen\n"
        "FROM bb\nCOPY --from=swap /bad /bad\nCOPY --from=read /seen /seen\nCOPY --from=s /d/e/f /f\n"
    )
    with shop.tree(built) as tree:
        assert (tree / "bad").read_text() == "bad\n"
        assert (tree / "seen").read_text() == "good\n" * 9 + "refused\n"
        assert (tree / "f").read_text() == "good\n"


def test_a_cache_cannot_lead_the_next_step_s_mount_out(shop: Workshop, tmp_path: Path) -> None:
    shop.build(
        f"FROM bb\nRUN --mount=type=cache,target=/c,id=x ln -s {tmp_path} /c/in; ln -s .. /c/up\n"
    )
    # The place for the inner mount has to be made: in the step's own tree or not at all.
    with suppress(CortenError):
        shop.build(
            "FROM bb\nRUN --mount=type=cache,target=/c,id=x --mount=type=tmpfs,target=/c/in/evil"
            " --mount=type=tmpfs,target=/c/up/evil true\n"
        )
    assert not (shop.root / "cache/mounts/evil").exists()
    assert not (tmp_path / "evil").exists()


def test_a_secret_is_in_no_layer_history_database_or_file(shop: Workshop) -> None:
    value = f"s3cr3t{os.urandom(8).hex()}"
    built = shop.build(
        "FROM bb\nRUN --mount=type=secret,id=s,env=S --mount=type=secret,id=s,target=/bin/../s"
        ' test "$S" = "$(cat /s)" && head -c 6 /s > /half && exit 0\n'
        "RUN --mount=type=secret,id=s,env=S,target=/s false || true\n",
        given=Given(secrets={"s": Secret(env="V")}),
        environ={"V": value},
    )
    with pytest.raises(CortenError) as caught:
        shop.build(
            "FROM bb\nRUN --mount=type=secret,id=s,env=S exit 3\n",
            given=Given(secrets={"s": Secret(env="V")}),
            environ={"V": value},
        )
    assert value not in str(caught.value) + repr(shop.log.events) + repr(built.config)
    found = subprocess.run(
        ["grep", "-rlF", value, str(shop.root)], check=False, capture_output=True, text=True
    )
    assert (found.returncode, found.stdout) == (1, "")
