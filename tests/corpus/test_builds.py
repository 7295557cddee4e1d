"""Every case of the corpus is a real build, on both storage drivers.

The builds of one driver are under way at the same time, in one root.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from corpus.builder import Builder, Outcome, asked, told
from corpus.case import Case
from corpus.cases import ALL
from corpus.known_gaps import KNOWN_GAPS
from corpus.server import Served, serve
from corten import errors
from support.building import needs_busybox

pytestmark = [pytest.mark.root]

_AT_ONCE = 6


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serve(tmp_path_factory.mktemp("served")) as made:
        yield made


@pytest.fixture(scope="module")
def wanted(request: pytest.FixtureRequest) -> list[str]:
    """The cases that are asked for in this run."""
    found = [getattr(item, "callspec", None) for item in request.session.items]
    names = [spec.params.get("name") for spec in found if spec is not None]
    return [name for name in ALL if name in names]


@pytest.fixture(scope="module", params=["erofs", "overlay"])
def builds(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    served: Served,
    wanted: list[str],
) -> Iterator[Mapping[str, Future[Outcome]]]:
    needs_busybox()
    folder: Path = tmp_path_factory.mktemp("corpus")
    builder = Builder(folder, request.param, served)
    with builder.host:
        builder.prepare()
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            yield {name: pool.submit(builder.run, ALL[name]) for name in wanted}
    assert str(folder) not in Path("/proc/self/mounts").read_text()
    assert list((folder / "root/run/steps").glob("*")) == []


def _marked(name: str) -> object:
    gap = KNOWN_GAPS.get(name)
    return pytest.param(name, marks=[pytest.mark.xfail(reason=gap, strict=True)] if gap else [])


@pytest.mark.parametrize("name", [_marked(name) for name in ALL])
def test_builds_as_the_reference_says(builds: Mapping[str, Future[Outcome]], name: str) -> None:
    case = ALL[name]
    if case.error is not None:
        _fails(case, builds[name])
        return
    got = builds[name].result()
    assert told(case, got) == asked(case)
    if case.warns:
        assert any(case.warns in text for text in got.warnings), got.warnings


def _fails(case: Case, build: Future[Outcome]) -> None:
    assert case.error is not None
    with pytest.raises(errors.CortenError) as caught:
        build.result()
    assert isinstance(caught.value, getattr(errors, case.error.family)), caught.value
    assert case.error.part in f"{caught.value.message} ({caught.value.hint})"
    if case.error.line:
        assert f"Dockerfile:{case.error.line}:" in caught.value.message


def test_the_corpus_is_as_large_as_it_says() -> None:
    assert len(ALL) >= 250


def test_gaps_are_gaps_of_cases() -> None:
    assert set(KNOWN_GAPS) <= set(ALL)
