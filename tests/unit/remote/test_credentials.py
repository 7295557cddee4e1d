"""Credentials that other tools saved."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from corten.errors import Denied, Invalid, Unavailable, Unsupported
from corten.remote.credentials import config_files, find
from corten.wire.dialogue import Credentials

HOST = "registry.example:5000"


def auth(user: str, password: str) -> dict[str, str]:
    return {"auth": base64.b64encode(f"{user}:{password}".encode()).decode()}


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / ".docker").mkdir()
    (tmp_path / ".config" / "containers").mkdir(parents=True)
    (tmp_path / "bin").mkdir()
    return tmp_path


def docker(home: Path, config: Any) -> dict[str, str]:
    (home / ".docker" / "config.json").write_text(json.dumps(config))
    return environ(home)


def environ(home: Path) -> dict[str, str]:
    return {"HOME": str(home), "PATH": f"{home}/bin:/usr/bin:/bin"}


def helper(home: Path, name: str, script: str) -> None:
    program = home / "bin" / f"docker-credential-{name}"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)


def test_nothing_saved_is_no_credential(home: Path) -> None:
    assert find(HOST, "a", environ(home)) is None
    assert find(HOST, "a", {}) is None
    (home / ".docker" / "config.json").write_text("")
    assert find(HOST, "a", environ(home)) is None


def test_name_and_password(home: Path) -> None:
    env = docker(home, {"auths": {HOST: auth("user", "pa:ss wörd")}})
    assert find(HOST, "a", env) == Credentials("user", "pa:ss wörd")
    assert find("other.example", "a", env) is None


def test_name_and_password_in_fields_of_their_own(home: Path) -> None:
    env = docker(home, {"auths": {HOST: {"username": "u", "password": "p"}}})
    assert find(HOST, "a", env) == Credentials("u", "p")


def test_a_refresh_token(home: Path) -> None:
    env = docker(home, {"auths": {HOST: {**auth("u", ""), "identitytoken": "r"}}})
    assert find(HOST, "a", env) == Credentials("u", "", "r")


@pytest.mark.parametrize(
    "key", [HOST, f"https://{HOST}", f"http://{HOST}/", f"https://{HOST}/v1/", f"{HOST}/v2"]
)
def test_keys_in_the_forms_of_old_clients(home: Path, key: str) -> None:
    env = docker(home, {"auths": {key: auth("u", "p")}})
    assert find(HOST, "a", env) == Credentials("u", "p")


def test_the_hub_has_a_key_of_its_own(home: Path) -> None:
    env = docker(home, {"auths": {"https://index.docker.io/v1/": auth("u", "p")}})
    assert find("docker.io", "library/debian", env) == Credentials("u", "p")


def test_the_most_particular_key_counts(home: Path) -> None:
    auths = {
        HOST: auth("all", "1"),
        f"{HOST}/team": auth("team", "2"),
        f"{HOST}/team/app": auth("app", "3"),
    }
    env = docker(home, {"auths": auths})
    assert find(HOST, "team/app", env) == Credentials("app", "3")
    assert find(HOST, "team/other", env) == Credentials("team", "2")
    assert find(HOST, "else", env) == Credentials("all", "1")
    assert find(HOST, "", env) == Credentials("all", "1")


def test_an_empty_entry_falls_through(home: Path) -> None:
    env = docker(home, {"auths": {HOST: {}, f"{HOST}/a": {"auth": ""}}})
    assert find(HOST, "a", env) is None


def test_the_order_of_files(home: Path) -> None:
    env = docker(home, {"auths": {HOST: auth("docker", "1")}})
    podman = home / ".config" / "containers" / "auth.json"
    podman.write_text(json.dumps({"auths": {HOST: auth("podman", "2"), "o": auth("o", "3")}}))
    assert find(HOST, "a", env) == Credentials("docker", "1")
    assert find("o", "a", env) == Credentials("o", "3")
    alone = home / "alone.json"
    alone.write_text(json.dumps({"auths": {HOST: auth("alone", "4")}}))
    env["REGISTRY_AUTH_FILE"] = str(alone)
    assert find(HOST, "a", env) == Credentials("alone", "4")
    assert find("o", "a", env) is None


def test_which_files_count() -> None:
    env = {"HOME": "/h", "DOCKER_CONFIG": "/d", "XDG_RUNTIME_DIR": "/x"}
    assert [str(path) for path in config_files(env)] == [
        "/d/config.json",
        "/x/containers/auth.json",
        "/h/.config/containers/auth.json",
    ]
    assert str(next(config_files({"HOME": "/h"}))) == "/h/.docker/config.json"
    assert list(config_files({})) == []


@pytest.mark.parametrize("text", ["{", "[]", '"x"', "\x00", "[" * 100_000])
def test_a_file_that_is_malformed_is_named(home: Path, text: str) -> None:
    (home / ".docker" / "config.json").write_text(text)
    with pytest.raises(Invalid, match=r"config\.json"):
        find(HOST, "a", environ(home))


@pytest.mark.parametrize("value", ["%%%", "bm9jb2xvbg==", "/w=="])
def test_an_entry_that_is_malformed_is_invalid(home: Path, value: str) -> None:
    with pytest.raises(Invalid, match="malformed auth"):
        find(HOST, "a", docker(home, {"auths": {HOST: {"auth": value}}}))


@pytest.mark.parametrize("config", [{"auths": []}, {"auths": {HOST: 5}}, {"credHelpers": 5}])
def test_sections_of_another_shape_say_nothing(home: Path, config: Any) -> None:
    assert find(HOST, "a", docker(home, config)) is None


def test_a_huge_file_is_refused(home: Path) -> None:
    (home / ".docker" / "config.json").write_bytes(b" " * 5_000_000)
    with pytest.raises(Invalid, match="larger"):
        find(HOST, "a", environ(home))


def test_a_folder_in_place_of_a_file_is_denied(home: Path) -> None:
    (home / ".docker" / "config.json").mkdir()
    with pytest.raises(Denied):
        find(HOST, "a", environ(home))


def test_a_helper_for_the_host(home: Path) -> None:
    helper(home, "vault", 'read key; echo "{\\"Username\\":\\"$1\\",\\"Secret\\":\\"$key\\"}"')
    env = docker(home, {"credHelpers": {HOST: "vault"}, "auths": {HOST: auth("u", "p")}})
    # The helper's stdin has no newline at its end: read fills the variable all the same.
    assert find(HOST, "a", env) == Credentials("get", HOST)


def test_a_helper_for_all_hosts(home: Path) -> None:
    helper(home, "all", 'echo "{\\"Username\\":\\"u\\",\\"Secret\\":\\"s\\"}"')
    env = docker(home, {"credsStore": "all"})
    assert find(HOST, "a", env) == Credentials("u", "s")


def test_a_helper_that_gives_a_refresh_token(home: Path) -> None:
    helper(home, "t", 'echo "{\\"Username\\":\\"<token>\\",\\"Secret\\":\\"s\\"}"')
    assert find(HOST, "a", docker(home, {"credsStore": "t"})) == Credentials(refresh_token="s")


def test_a_helper_is_asked_for_the_hub_by_its_key(home: Path) -> None:
    helper(home, "h", 'read key; echo "{\\"Username\\":\\"u\\",\\"Secret\\":\\"$key\\"}"')
    found = find("docker.io", "a", docker(home, {"credsStore": "h"}))
    assert found == Credentials("u", "https://index.docker.io/v1/")


def test_a_helper_that_knows_nothing(home: Path) -> None:
    helper(home, "n", 'echo "credentials not found in native keychain"; exit 1')
    assert find(HOST, "a", docker(home, {"credsStore": "n"})) is None


def test_a_helper_that_fails_is_unavailable(home: Path) -> None:
    helper(home, "f", 'echo "the vault is sealed"; exit 1')
    with pytest.raises(Unavailable, match="sealed"):
        find(HOST, "a", docker(home, {"credsStore": "f"}))


@pytest.mark.parametrize("said", ["nothing", "{}", "[]", '{"Username":1,"Secret":2}'])
def test_a_helper_that_answers_nonsense_is_invalid(home: Path, said: str) -> None:
    helper(home, "x", f"echo '{said}'")
    with pytest.raises(Invalid, match="docker-credential-x"):
        find(HOST, "a", docker(home, {"credsStore": "x"}))


def test_a_helper_that_is_not_installed_is_named(home: Path) -> None:
    with pytest.raises(Unsupported, match="docker-credential-absent") as caught:
        find(HOST, "a", docker(home, {"credsStore": "absent"}))
    assert caught.value.hint


@pytest.mark.parametrize("name", ["../evil", "a b", "a;b", "/bin/sh"])
def test_a_helper_whose_name_is_a_path_is_refused(home: Path, name: str) -> None:
    with pytest.raises(Invalid):
        find(HOST, "a", docker(home, {"credsStore": name}))
