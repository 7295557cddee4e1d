"""What belongs to a stack of layers appears whole, and goes with the first of them."""

from __future__ import annotations

import hashlib
import threading
from pathlib import Path

import pytest

from corten.oci.digest import Digest
from corten.snapshot.holdings import Holdings, LayerRecord
from corten.snapshot.protocols import Snapshot
from corten.snapshot.stacks import StackHoldings, StackRecord, chain_ids

ONE, TWO, THREE = Digest.of(b"1"), Digest.of(b"2"), Digest.of(b"3")


@pytest.fixture
def stacks(tmp_path: Path) -> StackHoldings:
    return StackHoldings(tmp_path, "erofs")


def publish(stacks: StackHoldings, *layers: Digest, content: str = "") -> Digest:
    chain = chain_ids(layers)[-1]
    with stacks.making(), stacks.draft() as draft:
        (draft / "content").write_text(content)
        stacks.publish(draft, chain, StackRecord(tuple(str.__str__(layer) for layer in layers)))
    return chain


def test_chain_ids_are_those_of_the_specification() -> None:
    both = f"sha256:{hashlib.sha256(f'{ONE} {TWO}'.encode()).hexdigest()}"
    all_three = f"sha256:{hashlib.sha256(f'{both} {THREE}'.encode()).hexdigest()}"
    assert chain_ids([ONE, TWO, THREE]) == [ONE, both, all_three]
    assert chain_ids([]) == []


def test_published_draft_is_the_stack(stacks: StackHoldings) -> None:
    chain = chain_ids([ONE, TWO])[-1]
    assert stacks.record(chain) is None
    with stacks.draft() as draft:
        record = StackRecord(
            (str.__str__(ONE), str.__str__(TWO)), "c0de", (str.__str__(TWO),), (7,)
        )
        stacks.publish(draft, chain, record)
    assert stacks.record(chain) == record
    assert stacks.path.parent.stat().st_mode & 0o7777 == 0o700


def test_new_stack_takes_the_place_of_an_old_one(stacks: StackHoldings) -> None:
    chain = publish(stacks, ONE, TWO, content="first")
    assert publish(stacks, ONE, TWO, content="second") == chain
    assert (stacks.stack(chain) / "content").read_text() == "second"
    assert {path.name for path in stacks.path.iterdir()} == {".lock", chain.encoded}


def test_draft_that_fails_leaves_nothing(stacks: StackHoldings) -> None:
    with pytest.raises(KeyError), stacks.draft() as draft:
        (draft / "half").write_text("")
        raise KeyError
    assert list(stacks.path.iterdir()) == []


def test_record_that_makes_no_sense_is_none(stacks: StackHoldings) -> None:
    chain = publish(stacks, ONE)
    (stacks.stack(chain) / "stack.json").write_text("{")
    assert stacks.record(chain) is None


def test_stacks_go_with_the_first_of_their_layers(tmp_path: Path) -> None:
    holdings = Holdings(tmp_path, "erofs")
    for layer in (ONE, TWO, THREE):
        with holdings.draft() as draft:
            holdings.publish(draft, layer, LayerRecord("erofs"))
    stays = publish(holdings.stacks, ONE, TWO)
    goes = publish(holdings.stacks, ONE, TWO, THREE)
    damaged = publish(holdings.stacks, TWO, ONE)
    (holdings.stacks.stack(damaged) / "stack.json").unlink()
    (holdings.stacks.path / "junk").mkdir()
    (holdings.stacks.path / ".new-crashed").mkdir()
    assert holdings.prune({ONE.encoded, TWO.encoded}) == 1
    assert holdings.stacks.record(stays) is not None
    assert holdings.stacks.record(goes) is None
    assert {path.name for path in holdings.stacks.path.iterdir()} == {".lock", stays.encoded}


def test_stack_under_a_snapshot_stays(tmp_path: Path) -> None:
    holdings = Holdings(tmp_path, "erofs")
    for layer in (ONE, TWO):
        with holdings.draft() as draft:
            holdings.publish(draft, layer, LayerRecord("erofs"))
    chain = publish(holdings.stacks, ONE, TWO)
    holdings.add_snapshot(Snapshot("k", (ONE, TWO), True), None)
    assert holdings.prune(set()) == 0
    assert holdings.stacks.record(chain) is not None
    holdings.remove_snapshot("k")
    assert holdings.prune(set()) == 2
    assert holdings.stacks.record(chain) is None


def test_one_at_a_time_makes_a_stack(stacks: StackHoldings) -> None:
    inside, most = 0, 0
    guard = threading.Lock()

    def make() -> None:
        nonlocal inside, most
        for _ in range(20):
            with stacks.making():
                with guard:
                    inside += 1
                    most = max(most, inside)
                with guard:
                    inside -= 1

    threads = [threading.Thread(target=make) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 1
