"""The store of containers: names, ids, what survives damage."""

import threading
from pathlib import Path

import msgspec
import pytest

from corten.errors import Conflict, Corrupt, Invalid, NotFound
from corten.runtime.containers import ContainerRecord, ContainerStore, NameTaken, write_json
from corten.runtime.ports import PublishedPort
from corten.runtime.protocols import Bind, Process


@pytest.fixture
def store(tmp_path: Path) -> ContainerStore:
    return ContainerStore(tmp_path)


def record(name: str = "", identity: str = "", **fields: object) -> ContainerRecord:
    return ContainerRecord(id=identity, name=name, process=Process(("true",)), **fields)  # type: ignore[arg-type]


def test_what_is_empty_is_filled_in(store: ContainerStore) -> None:
    made = store.create(record())
    assert len(made.id) == 64
    assert int(made.id, 16) >= 0
    assert made.snapshot == made.id
    assert made.created > 1_600_000_000
    assert "_" in made.name
    assert made.short_id == made.id[:12]


def test_everything_comes_back_as_it_was(store: ContainerStore) -> None:
    full = record(
        "web",
        "ab" * 32,
        image="docker.io/library/x:latest",
        image_id="sha256:" + "0" * 64,
        manifest="sha256:" + "1" * 64,
        created=1234.5,
        snapshot="s",
        driver="erofs",
        binds=(Bind("/a", "/b", True, options=("nosuid",)),),
        anonymous=("v",),
        network="none",
        ports=(PublishedPort(80, 8080, "127.0.0.1", "udp"),),
        hostname="h",
        interactive=True,
        readonly=True,
        privileged=True,
        init=True,
        auto_remove=True,
        stop_signal="SIGQUIT",
        stop_timeout=3,
        labels={"k": "v"},
        capabilities=("CAP_CHOWN",),
        memory=1,
        cpus=0.5,
        pids=2,
    )
    full = msgspec.structs.replace(
        full, process=Process(("a", "b"), ("X=1",), "/w", "app:users", True)
    )
    store.create(full)
    assert store.get(full.id) == full
    assert list(store.walk()) == [full]


def test_a_container_is_found_by_name_id_and_beginning_of_an_id(store: ContainerStore) -> None:
    made = store.create(record("web"))
    for reference in ("web", made.id, made.short_id, made.id[:3]):
        assert store.get(reference) == made


def test_a_name_goes_before_the_beginning_of_an_id(store: ContainerStore) -> None:
    store.create(record("x", "ab" + "0" * 62))
    named = store.create(record("ab", "cd" + "0" * 62))
    assert store.get("ab") == named


def test_an_ambiguous_beginning_is_a_conflict(store: ContainerStore) -> None:
    store.create(record("x", "ab" + "0" * 62))
    store.create(record("y", "ab" + "1" * 62))
    with pytest.raises(Conflict, match="2 container ids"):
        store.get("ab")
    assert store.get("ab1").name == "y"


@pytest.mark.parametrize("reference", ["", "nothing", "a/b", "..", ".names", "0" * 64, "\0"])
def test_what_is_not_there_is_not_found(store: ContainerStore, reference: str) -> None:
    with pytest.raises(NotFound):
        store.get(reference)
    store.create(record("web", "ab" * 32))
    with pytest.raises(NotFound):
        store.get(reference)


def test_names_are_given_once(store: ContainerStore) -> None:
    holder = store.create(record("web"))
    with pytest.raises(NameTaken, match="'web'") as caught:
        store.create(record("web"))
    assert caught.value.holder == holder.id
    assert len(list(store.walk())) == 1
    store.remove(holder)
    store.create(record("web"))


def test_bad_names_leave_nothing(store: ContainerStore) -> None:
    with pytest.raises(Invalid):
        store.create(record("../evil"))
    assert list(store.walk()) == []
    assert not list((store.path / ".names").iterdir())


def test_of_many_who_want_a_name_one_gets_it(store: ContainerStore) -> None:
    outcomes: list[str] = []

    def one() -> None:
        try:
            store.create(record("web"))
            outcomes.append("created")
        except NameTaken:
            outcomes.append("taken")

    threads = [threading.Thread(target=one) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outcomes.count("created") == 1
    assert len(list(store.walk())) == 1


def test_a_name_left_by_a_killed_create_is_free(store: ContainerStore) -> None:
    (store.path / ".names").mkdir(parents=True)
    (store.path / ".names" / "web").symlink_to("f" * 64)
    assert store.create(record("web")).name == "web"


def test_an_id_twice_is_refused_and_the_first_stays(store: ContainerStore) -> None:
    first = store.create(record("one", "ab" * 32))
    with pytest.raises(Conflict, match="already"):
        store.create(record("two", "ab" * 32))
    assert store.get("one") == first
    with pytest.raises(NotFound):
        store.get("two")


def test_newest_come_first(store: ContainerStore) -> None:
    for n in (2, 3, 1):
        store.create(record(f"c{n}", created=float(n)))
    assert [found.name for found in store.walk()] == ["c3", "c2", "c1"]


def test_renaming_moves_the_name(store: ContainerStore) -> None:
    made = store.create(record("old"))
    store.create(record("other"))
    with pytest.raises(NameTaken):
        store.rename(made, "other")
    renamed = store.rename(made, "new")
    assert store.get("new") == renamed
    assert store.get(made.id).name == "new"
    with pytest.raises(NotFound):
        store.get("old")


def test_an_update_is_kept(store: ContainerStore) -> None:
    made = store.create(record("web"))
    store.update(msgspec.structs.replace(made, labels={"a": "b"}))
    assert store.get("web").labels == {"a": "b"}


def test_removal_is_complete_and_may_be_repeated(store: ContainerStore) -> None:
    made = store.create(record("web"))
    (store.directory(made.id) / "log").write_text("x")
    store.remove(made)
    store.remove(made)
    assert not store.directory(made.id).exists()
    assert list(store.walk()) == []


def test_a_removal_that_stopped_half_way_has_forgotten_the_container(store: ContainerStore) -> None:
    made = store.create(record("web"))
    (store.directory(made.id) / "record.json").unlink()
    with pytest.raises(NotFound):
        store.get("web")
    assert list(store.walk()) == []


@pytest.mark.parametrize("damaged", [b'{"id": 1}', b'{"id": "\xd1"}'])
def test_a_damaged_record_is_named(store: ContainerStore, damaged: bytes) -> None:
    made = store.create(record("web"))
    (store.directory(made.id) / "record.json").write_bytes(damaged)
    with pytest.raises(Corrupt, match=made.short_id):
        store.get("web")


def test_a_damaged_record_hides_no_other_from_who_takes_what_is_wrong(
    store: ContainerStore,
) -> None:
    bad, good = store.create(record("bad")), store.create(record("good"))
    (store.directory(bad.id) / "record.json").write_bytes(b"")
    with pytest.raises(Corrupt):  # a collection has to know all
        list(store.walk())
    wrong: list[Corrupt] = []
    assert list(store.walk(wrong.append)) == [good]
    (error,) = wrong
    assert bad.short_id in error.message
    assert "corten system check --repair" in error.hint


def test_records_keep_secrets_from_others(store: ContainerStore) -> None:
    made = store.create(record("web"))
    assert store.directory(made.id).stat().st_mode & 0o077 == 0


def test_locks_take_turns(store: ContainerStore) -> None:
    made = store.create(record("web"))
    order: list[str] = []
    inside = threading.Event()

    def second() -> None:
        inside.wait()
        with store.locked(made.id):
            order.append("second")

    thread = threading.Thread(target=second)
    thread.start()
    with store.locked(made.id):
        inside.set()
        thread.join(0.1)
        order.append("first")
    thread.join()
    assert order == ["first", "second"]


def test_waiting_for_a_container_that_is_removed_meanwhile_ends_in_not_found(
    store: ContainerStore,
) -> None:
    made = store.create(record("web"))
    errors: list[Exception] = []
    waiting = threading.Event()

    def second() -> None:
        waiting.set()
        try:
            with store.locked(made.id):
                pass
        except NotFound as error:
            errors.append(error)

    thread = threading.Thread(target=second)
    with store.locked(made.id):
        thread.start()
        waiting.wait()
        thread.join(0.1)
        store.remove(made)
    thread.join()
    assert len(errors) == 1
    with pytest.raises(NotFound), store.locked(made.id):
        pass


def test_json_is_replaced_whole_and_leaves_no_draft(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    write_json(path, {"a": 1})
    write_json(path, {"a": 2})
    assert msgspec.json.decode(path.read_bytes()) == {"a": 2}
    assert list(tmp_path.iterdir()) == [path]
