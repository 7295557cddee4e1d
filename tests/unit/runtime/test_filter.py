"""Compiled seccomp programs, checked by running them as the kernel would."""

import base64
import ctypes
import platform
import struct
from pathlib import Path

import pytest

from corten.runtime.capabilities import ALL_CAPABILITIES, DEFAULT_CAPABILITIES
from corten.runtime.filter import ANNOTATION, compile_filter, filter_annotation
from corten.runtime.seccomp import seccomp_profile

ALLOW, ERRNO = 0x7FFF0000, 0x00050000
X86_64, I386 = 0xC000003E, 0x40000003
X32_BIT = 0x40000000

pytestmark = pytest.mark.skipif(platform.machine() != "x86_64", reason="numbers of x86-64")


def answer(program: bytes, call: int, *arguments: int, architecture: int = X86_64) -> int:
    """What the classic BPF `program` returns for a system call.  Spec: bpf(4), seccomp(2)."""
    padded = [*arguments, *([0] * (6 - len(arguments)))]
    data = struct.pack("<iIQ6Q", call, architecture, 0, *padded)
    code = [struct.unpack_from("<HBBI", program, n) for n in range(0, len(program), 8)]
    position = accumulator = 0
    while True:
        operation, yes, no, k = code[position]
        position += 1
        match operation:
            case 0x20:  # load a word of the data
                (accumulator,) = struct.unpack_from("<I", data, k)
            case 0x54:
                accumulator &= k
            case 0x05:
                position += k
            case 0x15:
                position += yes if accumulator == k else no
            case 0x25:
                position += yes if accumulator > k else no
            case 0x35:
                position += yes if accumulator >= k else no
            case 0x06:
                return int(k)
            case _:
                raise AssertionError(f"operation {operation:#x}")


def number(name: str) -> int:
    return int(ctypes.CDLL("libseccomp.so.2").seccomp_syscall_resolve_name(name.encode()))


@pytest.fixture(scope="module")
def program() -> bytes:
    made = compile_filter(seccomp_profile(DEFAULT_CAPABILITIES, "x86_64"))
    if not made:
        pytest.skip("libseccomp is not installed")
    return made


@pytest.mark.parametrize(
    "name", ["read", "openat", "execve", "futex", "statx", "chroot", "vmsplice"]
)
def test_allowed_calls_pass(program: bytes, name: str) -> None:
    assert answer(program, number(name)) == ALLOW


@pytest.mark.parametrize(
    "name", ["mount", "unshare", "setns", "bpf", "keyctl", "reboot", "init_module", "userfaultfd"]
)
def test_refused_calls_are_not_permitted(program: bytes, name: str) -> None:
    assert answer(program, number(name)) == ERRNO | 1


def test_unknown_calls_do_not_exist(program: bytes) -> None:
    assert answer(program, 9999) == ERRNO | 38
    assert answer(program, number("clone3")) == ERRNO | 38


@pytest.mark.parametrize("flag", [0x20000, 0x02000000, 0x04000000, 0x10000000, 0x40000000])
def test_clone_makes_threads_but_no_namespaces(program: bytes, flag: int) -> None:
    threads = 0x3D0F00
    assert answer(program, number("clone"), threads) == ALLOW
    assert answer(program, number("clone"), threads | flag) == ERRNO | 38


def test_personalities_are_compared(program: bytes) -> None:
    call = number("personality")
    assert answer(program, call, 0xFFFFFFFF) == ALLOW
    assert answer(program, call, 0x0040000) == ERRNO | 38


def test_socket_families_are_compared(program: bytes) -> None:
    call = number("socket")
    assert [answer(program, call, family) for family in (1, 2, 10, 17, 45)] == [ALLOW] * 5
    assert answer(program, call, 40) == ERRNO | 38
    assert answer(program, call, 16, 3, 0) == ALLOW
    assert answer(program, call, 16, 3, 9) == ERRNO | 22


@pytest.mark.parametrize("beyond", [1 << 32, 0xFFFFFFFF << 32])
def test_what_the_kernel_does_not_see_of_a_family_changes_nothing(
    program: bytes, beyond: int
) -> None:
    # It takes an int: with higher bits set, 40 is above 40 and AF_VSOCK all the same.
    call = number("socket")
    assert answer(program, call, beyond | 40) == ERRNO | 38
    assert answer(program, call, beyond | 2) == ALLOW
    assert answer(program, call, beyond | 16, 3, 9) == ERRNO | 22


def test_32_bit_programs_and_x32_are_confined_too(program: bytes) -> None:
    assert answer(program, 3, architecture=I386) == ALLOW  # read
    assert answer(program, 21, architecture=I386) == ERRNO | 1  # mount
    assert answer(program, X32_BIT | 0) == ALLOW
    assert answer(program, X32_BIT | 165) == ERRNO | 1
    # An architecture that nobody named kills.
    assert answer(program, 0, architecture=0xC00000B7) in {0, 0x80000000}


def test_capabilities_change_the_program() -> None:
    made = compile_filter(seccomp_profile(ALL_CAPABILITIES, "x86_64"))
    if made:
        assert answer(made, number("mount")) == ALLOW
        assert answer(made, number("clone"), 0x10000000) == ALLOW


def test_a_program_is_compiled_once(program: bytes, tmp_path: Path) -> None:
    profile = seccomp_profile(DEFAULT_CAPABILITIES, "x86_64")
    cache = tmp_path / "a" / "b"
    first = filter_annotation(profile, cache)
    assert base64.b64decode(first[ANNOTATION]) == program
    (kept,) = cache.iterdir()
    kept.write_bytes(b"kept so.")
    assert base64.b64decode(filter_annotation(profile, cache)[ANNOTATION]) == b"kept so."
    for damaged in (b"", b"cut off"):
        kept.write_bytes(damaged)
        assert base64.b64decode(filter_annotation(profile, cache)[ANNOTATION]) == program
    filter_annotation(seccomp_profile((), "x86_64"), cache)
    assert len(list(cache.iterdir())) == 2


def test_a_cache_that_cannot_be_written_only_costs_time(program: bytes, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    profile = seccomp_profile(DEFAULT_CAPABILITIES, "x86_64")
    assert filter_annotation(profile, tmp_path / "file")[ANNOTATION]


def test_a_profile_that_the_library_refuses_is_left_to_crun(tmp_path: Path) -> None:
    profile = seccomp_profile((), "x86_64") | {"architectures": ["SCMP_ARCH_NONSENSE"]}
    assert filter_annotation(profile, tmp_path) == {}
    assert not list(tmp_path.iterdir())
