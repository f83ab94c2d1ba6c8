"""Takes from this process, for good, what a parser of hostile files must not have: much memory, files to write, the
network, and programs to start. The last two by a seccomp filter, which Linux gives to processes without rights; it
holds for a program too that such a process becomes."""

from __future__ import annotations

import ctypes
import platform
import resource
import signal
import struct
import sys

MOST_MEMORY_BYTES = 1 << 30
_MOST_OPEN_FILES = 64

_SET_PARENT_DEATH_SIGNAL, _SET_SECCOMP, _SET_NO_NEW_PRIVILEGES = 1, 22, 38  # <linux/prctl.h>
_FILTER_MODE = 2
_LOAD, _JUMP_IF_EQUAL, _JUMP_IF_AT_LEAST, _RETURN = 0x20, 0x15, 0x35, 0x06  # <linux/bpf_common.h>
_ALLOW, _REFUSE = 0x7FFF0000, 0x00050000 | 1  # <linux/seccomp.h>; 1 is EPERM
_NUMBER_AT, _MACHINE_AT = 0, 4  # of struct seccomp_data
_FOREIGN_NUMBERS = 0x40000000  # of x86's third calling convention
# AUDIT_ARCH_*, and the numbers of socket, connect, ptrace, execve and execveat there (<asm/unistd.h>).
_MACHINES = {
    "x86_64": (0xC000003E, (41, 42, 101, 59, 322)),
    "aarch64": (0xC00000B7, (198, 203, 117, 221, 281)),
}

_BEFORE_STARTING = 3  # of these numbers


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("steps", ctypes.c_void_p))


def confine(*, may_start_programs: bool = False) -> None:
    """Before anything of the file is read. Raises OSError if Linux refuses."""
    resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY_BYTES, MOST_MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (_MOST_OPEN_FILES, _MOST_OPEN_FILES))
    if sys.platform == "linux":
        _control(_SET_PARENT_DEATH_SIGNAL, signal.SIGKILL)  # a worker that is killed takes us along
        _control(_SET_NO_NEW_PRIVILEGES, 1)
        if platform.machine() in _MACHINES:
            machine, refused = _MACHINES[platform.machine()]
            _filter_calls(machine, refused[:_BEFORE_STARTING] if may_start_programs else refused)


def _filter_calls(machine: int, refused: tuple[int, ...]) -> None:
    count = len(refused)
    steps = [
        _step(_LOAD, _MACHINE_AT),
        _step(_JUMP_IF_EQUAL, machine, otherwise=count + 3),
        _step(_LOAD, _NUMBER_AT),
        _step(_JUMP_IF_AT_LEAST, _FOREIGN_NUMBERS, then=count + 1),
        *(_step(_JUMP_IF_EQUAL, number, then=count - at) for at, number in enumerate(refused)),
        _step(_RETURN, _ALLOW),
        _step(_RETURN, _REFUSE),
    ]
    code = ctypes.create_string_buffer(b"".join(steps))
    program = _Program(len(steps), ctypes.cast(code, ctypes.c_void_p))
    _control(_SET_SECCOMP, _FILTER_MODE, ctypes.byref(program))


def _step(code: int, value: int, *, then: int = 0, otherwise: int = 0) -> bytes:
    """One instruction; `then` and `otherwise` say how many to pass over."""
    return struct.pack("HBBI", code, then, otherwise, value)


def _control(*arguments: object) -> None:
    library = ctypes.CDLL(None, use_errno=True)
    if library.prctl(*arguments, *[0] * (5 - len(arguments))):
        raise OSError(ctypes.get_errno(), "prctl")
