"""What a build refuses before it looks at anything."""

from __future__ import annotations

from pathlib import Path

import pytest

from corten.config.settings import Settings
from corten.engine.build import BuildOptions, build
from corten.engine.host import Host
from corten.errors import Invalid
from corten.events.job import Job


@pytest.mark.parametrize("field", ["build_args", "labels"])
@pytest.mark.parametrize("pair", [{"X": "\udcff"}, {"X\udcff": "1"}])
def test_a_value_that_is_no_text_is_refused_by_name(
    tmp_path: Path, field: str, pair: dict[str, str]
) -> None:
    options = BuildOptions(context=tmp_path, **{field: pair})  # type: ignore[arg-type]
    with (
        Host(Settings(tmp_path / "root", "erofs")) as host,
        pytest.raises(Invalid, match=r"X.* is not UTF-8"),
    ):
        build(host, options, Job())
