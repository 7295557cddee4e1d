"""Seccomp profiles compiled once: the program that the kernel runs at every system call.

crun compiles a container's profile each time it starts one, which takes longer
than all else it does.  Here the same library (libseccomp, which crun needs
anyway) does it once a profile; crun gets the result in an annotation, beside the
profile itself, which it uses if it should not know the annotation.

Spec: libseccomp, seccomp_export_bpf(3); crun(1), ``run.oci.seccomp_bpf_data``.
"""

from __future__ import annotations

import base64
import ctypes
import hashlib
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import msgspec

ANNOTATION = "run.oci.seccomp_bpf_data"
_LIBRARY = "libseccomp.so.2"
_ALLOW = 0x7FFF0000
_ERRNO = 0x00050000
_OPTIMIZE = 8
_BINARY_TREE = 2
_EEXIST = -17
_INSTRUCTION = 8
_OPERATORS = {"NE": 1, "LT": 2, "LE": 3, "EQ": 4, "GE": 5, "GT": 6, "MASKED_EQ": 7}
# Raised when the way of compiling changes: what was kept then counts no more.
_VERSION = "1"


class _Comparison(ctypes.Structure):
    """``struct scmp_arg_cmp``."""

    _fields_ = (
        ("arg", ctypes.c_uint),
        ("op", ctypes.c_int),
        ("datum_a", ctypes.c_uint64),
        ("datum_b", ctypes.c_uint64),
    )


def filter_annotation(profile: Mapping[str, Any], cache: Path) -> dict[str, str]:
    """The annotation that gives crun the compiled `profile`; empty: crun has to compile.

    `cache` is a directory of compiled profiles, made if needed.
    """
    text = msgspec.json.encode(profile, order="sorted")
    name = hashlib.sha256(f"{_VERSION} ".encode() + text).hexdigest()
    path = cache / f"{name}.bpf"
    program = b""
    with suppress(OSError):
        program = path.read_bytes()
    if not program or len(program) % _INSTRUCTION:
        # Not there, or cut off by a crash.
        program = compile_filter(profile)
        if program:
            _keep(path, program)
    return {ANNOTATION: base64.b64encode(program).decode()} if program else {}


def compile_filter(profile: Mapping[str, Any]) -> bytes:
    """The program for a profile (``linux.seccomp``); empty: the library is not there or refuses."""
    import tempfile

    try:
        library = ctypes.CDLL(_LIBRARY)
    except OSError:
        return b""
    library.seccomp_init.restype = ctypes.c_void_p
    library.seccomp_arch_resolve_name.restype = ctypes.c_uint32
    default = _action(profile["defaultAction"], profile.get("defaultErrnoRet", 1))
    with _context(library, default) as context:
        if not context:
            return b""
        for name in profile["architectures"]:
            word = name.removeprefix("SCMP_ARCH_").lower().encode()
            token = library.seccomp_arch_resolve_name(word)
            # Token 0 stands for a name that the library does not know.
            added = library.seccomp_arch_add(context, ctypes.c_uint32(token)) if token else -1
            if added not in {0, _EEXIST}:
                return b""
        for rule in profile["syscalls"]:
            if not _add(library, context, rule, default):
                return b""
        # Fewer comparisons a call; libraries before 2.5 have not got it.
        library.seccomp_attr_set(context, _OPTIMIZE, ctypes.c_uint32(_BINARY_TREE))
        with tempfile.TemporaryFile() as file:
            if library.seccomp_export_bpf(context, file.fileno()) != 0:
                return b""
            file.seek(0)
            return file.read()


@contextmanager
def _context(library: ctypes.CDLL, default: int) -> Iterator[ctypes.c_void_p | None]:
    raw = library.seccomp_init(ctypes.c_uint32(default))
    if not raw:
        yield None
        return
    context = ctypes.c_void_p(raw)
    try:
        yield context
    finally:
        library.seccomp_release(context)


def _add(
    library: ctypes.CDLL, context: ctypes.c_void_p, rule: Mapping[str, Any], default: int
) -> bool:
    action = _action(rule["action"], rule.get("errnoRet", 1))
    if action == default:
        return True  # The library refuses rules that say nothing.
    given = rule.get("args", [])
    comparisons = (_Comparison * len(given))(
        *(
            _Comparison(
                argument["index"],
                _OPERATORS[argument["op"].removeprefix("SCMP_CMP_")],
                argument["value"],
                argument.get("valueTwo", 0),
            )
            for argument in given
        )
    )
    for name in rule["names"]:
        number = library.seccomp_syscall_resolve_name(name.encode())
        if number == -1:
            continue  # This library is older than the call: it is not allowed.
        status = library.seccomp_rule_add_array(
            context, ctypes.c_uint32(action), number, ctypes.c_uint(len(given)), comparisons
        )
        if status != 0:
            return False
    return True


def _action(name: str, errno: int) -> int:
    return _ALLOW if name == "SCMP_ACT_ALLOW" else _ERRNO | errno


def _keep(path: Path, program: bytes) -> None:
    # Only for speed: where it cannot be kept, the next run compiles again.
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_name(f".{path.name}.{os.getpid()}.{os.urandom(4).hex()}")
        draft.write_bytes(program)
        draft.rename(path)
