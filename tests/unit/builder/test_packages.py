"""The packages that a tree has, as its own files say, whatever they say."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from corten.builder.packages import FILE_LIMIT, Inventory, Package, inventory
from corten.builder.sbom import purl, sbom
from corten.builder.tree import open_tree
from corten.oci.digest import Digest

DPKG = """Package: bash
Status: install ok installed
Architecture: amd64
Version: 5.2.15-2+b7
Description: shell
 Version: 9
 .

Package: gone
Status: deinstall ok config-files
Version: 1

Package: half
Status: install ok installed
"""
APK = "C:Q1x=\nP:musl\nV:1.2.4-r2\nA:x86_64\nL:MIT\nF:lib\nR:libc.so\n\nP:zlib\nV:1\nL:see there\n"
METADATA = "Metadata-Version: 2.1\nName: My_Package\nVersion: 1.0\nLicense-Expression: MIT\n\nName: x\nVersion: 3\n"


def write(root: Path, **files: str) -> None:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def found(root: Path) -> Inventory:
    with open_tree(root) as tree:
        return inventory(tree)


def test_all_package_managers_are_read(tmp_path: Path) -> None:
    write(
        tmp_path,
        **{
            "var/lib/dpkg/status": DPKG,
            "var/lib/dpkg/status.d/tzdata": "Package: tzdata\nVersion: 2024a\nArchitecture: all\n",
            "var/lib/dpkg/status.d/tzdata.md5sums": "Package: no\nVersion: 1\n",
            "lib/apk/db/installed": APK,
            "usr/lib/python3/dist-packages/my_package-1.0.dist-info/METADATA": METADATA,
            "opt/old.egg-info/PKG-INFO": "Name: old\r\nVersion: 2\r\n\r\ntext",
            "app/node_modules/left/package.json": '{"name":"left","version":"1.0.0","license":"ISC"}',
            "app/node_modules/@s/p/package.json": '{"name":"@s/p","version":"2","license":{"a":1}}',
            "app/node_modules/left/test/package.json": '{"name":"no","version":"1"}',
            "app/package.json": '{"name":"app","version":"1"}',
            "etc/os-release": 'NAME=D\nID=debian\nVERSION_ID="12"\n',
        },
    )
    (tmp_path / "var/lib/rpm").mkdir()
    result = found(tmp_path)
    assert [(p.kind, p.name, p.version) for p in result.packages] == [
        ("apk", "musl", "1.2.4-r2"),
        ("apk", "zlib", "1"),
        ("deb", "bash", "5.2.15-2+b7"),
        ("deb", "tzdata", "2024a"),
        ("npm", "@s/p", "2"),
        ("npm", "left", "1.0.0"),
        ("pypi", "my-package", "1.0"),
        ("pypi", "old", "2"),
    ]
    assert result.distribution == ("debian", "12")
    assert result.notes == ("the rpm database in /var/lib/rpm is not read",)


def test_nothing_outside_of_the_tree_is_read(tmp_path: Path) -> None:
    (tmp_path / "outside").write_text(DPKG)
    root = tmp_path / "root"
    write(root, **{"var/lib/dpkg/x": ""})
    (root / "var/lib/dpkg/status").symlink_to("../../../../outside")
    (root / "node_modules").symlink_to(tmp_path)
    assert found(root).packages == ()


@pytest.mark.parametrize(
    "text", ["", "{", "[" * 100_000, "null", '{"name":1,"version":"1"}', " " * (FILE_LIMIT + 1)]
)
def test_what_cannot_be_read_is_left_out(tmp_path: Path, text: str) -> None:
    write(tmp_path, **{"node_modules/a/package.json": text, "lib/apk/db/installed": "\0P:\nV\n"})
    (tmp_path / "var/lib/dpkg/status").mkdir(parents=True)
    assert found(tmp_path).packages == ()


def test_package_urls() -> None:
    deb = Package("deb", "libstdc++6", "12.2:1", "/f", "amd64")
    assert purl(deb, ("debian", "12")) == (
        "pkg:deb/debian/libstdc%2B%2B6@12.2%3A1?arch=amd64&distro=debian-12"
    )
    assert purl(Package("npm", "@s/p", "1", "/f")) == "pkg:npm/%40s/p@1"
    assert purl(Package("apk", "musl", "1", "/f")) == "pkg:apk/alpine/musl@1"


def test_the_document_names_every_package_once() -> None:
    image = Digest.of(b"config")
    packages = (
        Package("apk", "musl", "1", "/lib/apk/db/installed", "x86_64", "MIT AND BSD-2-Clause"),
        Package("apk", "odd", "1", "/lib/apk/db/installed", "x86_64", "see, there"),
    )
    made = sbom(Inventory(packages, ("", ""), ("a note",)), image, "2026-01-02T03:04:05.6Z", "t")
    document = dict(made.predicate)
    json.dumps(document)
    assert document["spdxVersion"] == "SPDX-2.3"
    assert document["creationInfo"]["created"] == "2026-01-02T03:04:05Z"
    assert document["comment"] == "a note"
    ids = [package["SPDXID"] for package in document["packages"]]
    assert len(set(ids)) == 3
    related = {relation["relatedSpdxElement"] for relation in document["relationships"]}
    assert related == set(ids)
    licenses = [package["licenseDeclared"] for package in document["packages"]]
    assert licenses == ["NOASSERTION", "MIT AND BSD-2-Clause", "NOASSERTION"]
    assert document["packages"][2]["licenseComments"] == "the package says: see, there"
