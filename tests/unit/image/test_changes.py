from __future__ import annotations

import pytest

from corten.errors import Invalid
from corten.image.changes import apply_changes
from corten.oci.image_config import ContainerConfig


def _changed(*changes: str) -> ContainerConfig:
    return apply_changes(ContainerConfig(), changes)


def test_commands_in_both_forms() -> None:
    assert _changed('CMD ["/bin/sh", "-l"]').cmd == ("/bin/sh", "-l")
    assert _changed("CMD echo hello").cmd == ("/bin/sh", "-c", "echo hello")
    assert _changed('SHELL ["/bin/bash", "-c"]', "ENTRYPOINT run").entrypoint == (
        "/bin/bash",
        "-c",
        "run",
    )


def test_variables_are_set_and_used_by_later_changes() -> None:
    config = _changed("ENV A=1 B='two words'", "ENV A=$A$A", "LABEL a=$A", "WORKDIR /w/$A")
    assert config.env == ("A=11", "B=two words")
    assert config.labels == {"a": "11"}
    assert config.working_dir == "/w/11"


def test_a_relative_workdir_goes_on_from_the_one_before() -> None:
    assert _changed("WORKDIR /a", "WORKDIR b/../c").working_dir == "/a/c"


def test_ports_volumes_user_signal_and_triggers() -> None:
    config = _changed(
        "EXPOSE 80 53/udp",
        'VOLUME ["/data", "/more"]',
        "USER nobody:nogroup",
        "STOPSIGNAL SIGINT",
        "ONBUILD RUN make",
    )
    assert list(config.exposed_ports) == ["80/tcp", "53/udp"]
    assert list(config.volumes) == ["/data", "/more"]
    assert config.user == "nobody:nogroup"
    assert config.stop_signal == "SIGINT"
    assert config.on_build == ("RUN make",)


def test_healthchecks() -> None:
    check = _changed("HEALTHCHECK --interval=5s --retries=2 CMD curl localhost").healthcheck
    assert check is not None
    assert (check.test, check.interval, check.retries) == (
        ("CMD-SHELL", "curl localhost"),
        5_000_000_000,
        2,
    )
    none = _changed("HEALTHCHECK NONE").healthcheck
    assert none is not None
    assert none.test == ("NONE",)


@pytest.mark.parametrize(
    "change", ["", "RUN make", "COPY a b", "FROM debian", "NONSENSE x", "EXPOSE 99999", "ENV"]
)
def test_what_is_no_change_is_refused(change: str) -> None:
    with pytest.raises(Invalid):
        _changed(change)
