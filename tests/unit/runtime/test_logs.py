"""Reading logs."""

from pathlib import Path

import pytest

from corten.runtime.logs import LogEntry, parse_entry, read_log

TIME = "2026-11-24T04:00:00.123456789+00:00"


def line(text: str, stream: str = "stdout", tag: str = "F") -> str:
    return f"{TIME} {stream} {tag} {text}\n"


def texts(path: Path, **options: object) -> list[bytes]:
    return [entry.text for entry in read_log(path, **options)]  # type: ignore[arg-type]


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "log"
    path.write_text("".join(line(f"line {n}") for n in range(10)))
    return path


def test_a_line_has_time_stream_and_text() -> None:
    entry = parse_entry(line("hello  world", "stderr").rstrip("\n").encode())
    assert entry == LogEntry(TIME, 2, b"hello  world", True)
    assert entry.text == b"hello  world\n"


def test_an_empty_line_is_a_line() -> None:
    entry = parse_entry(f"{TIME} stdout F ".encode())
    assert entry is not None
    assert entry.text == b"\n"


@pytest.mark.parametrize("raw", [b"", b"x", b"a b c", b"a stdin F x", b"\xff\xfe"])
def test_what_is_no_log_line_is_skipped(raw: bytes) -> None:
    assert parse_entry(raw) is None


def test_all_lines_in_order(log: Path) -> None:
    assert texts(log) == [f"line {n}\n".encode() for n in range(10)]


def test_parts_of_a_line_come_without_an_end(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text(line("first half,", tag="P") + line(" second half") + line("open", tag="P"))
    assert b"".join(texts(path)) == b"first half, second half\nopen"


def test_no_log_is_an_empty_log(tmp_path: Path) -> None:
    assert texts(tmp_path / "none") == []


@pytest.mark.parametrize(
    ("tail", "expected"), [(0, []), (1, [9]), (3, [7, 8, 9]), (10, range(10)), (99, range(10))]
)
def test_the_tail_is_the_last_lines(log: Path, tail: int, expected: list[int]) -> None:
    assert texts(log, tail=tail) == [f"line {n}\n".encode() for n in expected]


def test_the_tail_counts_lines_not_parts(tmp_path: Path) -> None:
    path = tmp_path / "log"
    parts = line("a", tag="P") + line("b", tag="P") + line("c")
    path.write_text(line("before") + parts + line("open", tag="P"))
    assert b"".join(texts(path, tail=1)) == b"open"
    assert b"".join(texts(path, tail=2)) == b"abc\nopen"


def test_the_tail_of_a_long_log_is_found_from_its_end(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text("".join(line(f"{n:06} " + "x" * 300) for n in range(3000)))
    for tail in (1, 150, 151, 1000, 2999, 3000):
        found = texts(path, tail=tail)
        assert len(found) == tail
        assert found[0].startswith(f"{3000 - tail:06} ".encode())


def test_bytes_that_are_no_text_come_through(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(f"{TIME} stdout F ".encode() + b"\xff\x00\r x\n")
    assert texts(path) == [b"\xff\x00\r x\n"]
    assert texts(path, tail=1) == [b"\xff\x00\r x\n"]


def test_following_sees_what_is_written_until_the_end(log: Path) -> None:
    steps = iter([True, True, False])

    def follow() -> bool:
        going_on = next(steps)
        with log.open("a") as file:
            # In two pieces, as a writer may be caught in the middle of a line.
            file.write(line("more")[:20])
            file.flush()
            file.write(line("more")[20:])
        return going_on

    assert texts(log, follow=follow)[10:] == [b"more\n"] * 3


def test_following_a_half_written_line_waits_for_its_end(tmp_path: Path) -> None:
    path = tmp_path / "log"
    whole = line("in two")
    path.write_text(whole[:30])
    seen = []

    def follow() -> bool:
        seen.append(path.stat().st_size)
        if len(seen) == 2:
            with path.open("a") as file:
                file.write(whole[30:])
        return len(seen) < 3

    assert texts(path, follow=follow) == [b"in two\n"]
