"""The examples of the rules' own pages: the bad ones raise their rule, the good ones do not."""

from __future__ import annotations

import json
from typing import Any

import pytest

from corten.dockerfile.ignore import parse_ignore
from corten.dockerfile.lint.checking import RULES, check
from corten.dockerfile.lint.finding import BaseFacts, Surroundings
from corten.dockerfile.parser import parse
from support.testdata import SHARED, shared

_FILE = SHARED / "testdata" / "dockerfile" / "lint_examples.json"
_AUTOMATIC = {
    "TARGETPLATFORM": "linux/amd64",
    "TARGETARCH": "amd64",
    "BUILDPLATFORM": "linux/amd64",
}
_BASES = {
    ("alpine", "linux/amd64"): BaseFacts({}),
    ("python", "linux/amd64"): BaseFacts({"PYTHON_VERSION": "3.13"}),
}


def _examples() -> list[dict[str, Any]]:
    return json.loads(_FILE.read_text()) if _FILE.exists() else [{"rule": "", "kind": "missing"}]


def _completed(example: dict[str, Any]) -> str:
    """Pages show fragments: "..." for more of a stage, and no FROM where it goes without saying."""
    text = str(example["dockerfile"]).replace("...", "RUN true")
    if "FROM" not in text.upper():
        text = f"FROM alpine\n{text}"
    if RULES[_rule(example)].experimental:
        text = f"# check=experimental=all\n\n{text}"
    return text


def _rule(example: dict[str, Any]) -> str:
    (name,) = [name for name, rule in RULES.items() if rule.page == example["rule"]]
    return name


@pytest.mark.parametrize("example", _examples(), ids=lambda one: f"{one['rule']}-{one['kind']}")
def test_examples_of_the_pages(example: dict[str, Any]) -> None:
    shared("testdata", "dockerfile", _FILE.name)
    text = _completed(example)
    # The page's own pattern, */tmp/*, does not match its own example in the context's root.
    around = Surroundings(automatic=_AUTOMATIC, bases=_BASES, ignore=parse_ignore("tmp/*"))
    raised = {one.rule.name for one in check(text, parse(text), around).findings}
    assert (_rule(example) in raised) is (example["kind"] == "bad"), raised


def test_every_page_has_its_rule() -> None:
    pages = {path.stem for path in shared("specs", "dockerfile", "rules").glob("*.md")}
    assert pages - {"_index"} == {rule.page for rule in RULES.values() if rule.page}
    index = shared("specs", "dockerfile", "rules", "_index.md").read_text()
    for rule in RULES.values():
        if rule.page:
            assert f'<a href="./{rule.page}/">{rule.name}' in index
            assert rule.description in index.replace("&quot;", '"')
