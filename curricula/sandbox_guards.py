"""Drop privileges of a process before it runs untrusted code: seccomp, Landlock, resource limits.

Only for the script of the subprocess sandbox (`curricula/sandbox_child.py`), which must start fast and without the
program's packages; therefore this module uses only the standard library. Each guard raises OSError where the system
does not support it. A process cannot undo a guard, whatever user it runs as.
"""

from __future__ import annotations

import ctypes
import os
import resource
import struct
import sys

PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 38, 22, 2
EPERM = 1
MACHINES = {"x86_64": (0xC000003E, 0), "aarch64": (0xC00000B7, 1)}
"""Audit architecture number of a machine, and its column in `SYSTEM_CALLS`."""
SYSTEM_CALLS = {
    "read": (0, 63), "write": (1, 64), "close": (3, 57), "stat": (4, None), "fstat": (5, 80), "lstat": (6, None),
    "poll": (7, None), "ppoll": (271, 73), "lseek": (8, 62), "mmap": (9, 222), "mprotect": (10, 226),
    "munmap": (11, 215), "brk": (12, 214), "rt_sigaction": (13, 134), "rt_sigprocmask": (14, 135),
    "rt_sigreturn": (15, 139), "pread64": (17, 67), "readv": (19, 65), "writev": (20, 66), "access": (21, None),
    "sched_yield": (24, 124), "mremap": (25, 216), "madvise": (28, 233), "nanosleep": (35, 101), "getpid": (39, 172),
    "exit": (60, 93), "uname": (63, 160), "getcwd": (79, 17), "readlink": (89, None), "gettimeofday": (96, 169),
    "getrusage": (98, 165), "sysinfo": (99, 179), "getuid": (102, 174), "getgid": (104, 176), "geteuid": (107, 175),
    "getegid": (108, 177), "getppid": (110, 173), "sigaltstack": (131, 132), "gettid": (186, 178),
    "futex": (202, 98), "sched_getaffinity": (204, 123), "getdents64": (217, 61), "set_tid_address": (218, 96),
    "clock_gettime": (228, 113), "clock_getres": (229, 114), "clock_nanosleep": (230, 115), "exit_group": (231, 94),
    "newfstatat": (262, 79), "readlinkat": (267, 78), "faccessat": (269, 48), "set_robust_list": (273, 99),
    "getrandom": (318, 278), "statx": (332, 291), "rseq": (334, 293), "faccessat2": (439, 439),
}  # fmt: skip
"""The system calls that Python needs to compute, import and exit. None of them creates a process, thread, signal,
socket, mount or file; all other calls fail with "operation not permitted"."""
OPEN, OPENAT, PRLIMIT = (2, None), (257, 56), (302, 261)
"""Allowed only with certain arguments: to open files for reading, and to query limits."""
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND

LANDLOCK_CREATE, LANDLOCK_ADD, LANDLOCK_RESTRICT = 444, 445, 446
LANDLOCK_ALL, LANDLOCK_READ = (1 << 13) - 1, 1 << 0 | 1 << 2 | 1 << 3  # execute, read a file, list a folder
LIBRARIES = ("/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib")


def libc() -> ctypes.CDLL:
    if sys.platform != "linux":
        raise OSError("not Linux")
    return ctypes.CDLL(None, use_errno=True)


def no_new_privileges() -> None:
    if libc().prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "no_new_privs")


def seccomp() -> None:
    """Restrict the process to the system calls above. Raises OSError."""
    machine = this_machine()
    no_new_privileges()
    program = ctypes.create_string_buffer(filter_program(machine))
    count = (len(program) - 1) // 8
    header = ctypes.create_string_buffer(struct.pack("HxxxxxxP", count, ctypes.addressof(program)))
    if libc().prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.byref(header), 0, 0):
        raise OSError(ctypes.get_errno(), "seccomp")


def this_machine() -> str:
    machine = os.uname().machine
    if machine not in MACHINES or sys.byteorder != "little" or sys.maxsize < 2**32:
        raise OSError(f"no table of system calls for {machine}")
    return machine


def filter_program(machine: str) -> bytes:
    """The seccomp filter in classic BPF, 8 bytes per instruction."""
    arch, column = MACHINES[machine]
    load, equal, at_least, any_bit, give = 0x20, 0x15, 0x35, 0x45, 0x06
    number, argument = 0, 16
    steps: list[tuple[int, int, str, str]] = [  # instruction, value, label if true, if false; "": next
        (load, 4, "", ""),
        (equal, arch, "", "kill"),
        (load, number, "", ""),
        (at_least, 0x40000000, "no", ""),  # the x32 table of x86
    ]
    for special, label in ((OPEN, "open"), (OPENAT, "openat"), (PRLIMIT, "prlimit")):
        if special[column] is not None:
            steps.append((equal, special[column] or 0, label, ""))
    steps += [(equal, n, "yes", "") for n in (pair[column] for pair in SYSTEM_CALLS.values()) if n is not None]
    labels = {"no": len(steps)}
    steps.append((give, 0x00050000 | EPERM, "", ""))
    for name, place in (("open", 1), ("openat", 2)):
        labels[name] = len(steps)
        steps += [(load, argument + 8 * place, "", ""), (any_bit, WRITING, "deny", "yes")]
    labels["prlimit"] = len(steps)  # the new limits, a pointer in two halves, must be none
    steps += [
        (load, argument + 16, "", ""),
        (equal, 0, "", "deny"),
        (load, argument + 20, "", ""),
        (equal, 0, "yes", "deny"),
    ]
    labels["deny"] = len(steps)
    steps.append((give, 0x00050000 | EPERM, "", ""))
    labels["yes"] = len(steps)
    steps.append((give, 0x7FFF0000, "", ""))
    labels["kill"] = len(steps)
    steps.append((give, 0x80000000, "", ""))
    return b"".join(
        struct.pack("HBBI", what, *(labels[to] - at - 1 if to else 0 for to in (yes, no)), value)
        for at, (what, value, yes, no) in enumerate(steps)
    )


def landlock() -> None:
    """Restrict reading of files to the libraries of Python and of the system. Raises OSError."""
    call = libc().syscall
    call.restype = ctypes.c_long
    no_new_privileges()
    handled = ctypes.c_uint64(LANDLOCK_ALL)
    rules = call(LANDLOCK_CREATE, ctypes.byref(handled), ctypes.c_size_t(8), ctypes.c_uint32(0))
    if rules < 0:
        raise OSError(ctypes.get_errno(), "landlock")
    for folder in (os.path.dirname(os.__file__), os.path.join(sys.base_prefix, "lib"), *LIBRARIES):
        try:
            fd = os.open(folder, os.O_PATH | os.O_CLOEXEC)
        except OSError:
            continue
        rule = ctypes.create_string_buffer(struct.pack("=Qi", LANDLOCK_READ, fd))
        if call(LANDLOCK_ADD, ctypes.c_int(rules), ctypes.c_int(1), ctypes.byref(rule), ctypes.c_uint32(0)):
            raise OSError(ctypes.get_errno(), "landlock rule")
        os.close(fd)
    if call(LANDLOCK_RESTRICT, ctypes.c_int(rules), ctypes.c_uint32(0)):
        raise OSError(ctypes.get_errno(), "landlock")
    os.close(rules)


def rlimits(memory: int, seconds: int) -> None:
    """Limit resources of the process.

    Args:
        memory: bytes of address space in addition to the current size.
        seconds: processor time.
    """
    with open("/proc/self/statm", "rb") as file:
        has = int(file.read().split()[0]) * resource.getpagesize()
    for what, most in (
        (resource.RLIMIT_AS, has + memory),
        (resource.RLIMIT_CPU, seconds),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_NOFILE, 64),
        (resource.RLIMIT_NPROC, 1),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(what, (most, most))


def private_network() -> None:
    """Move the process to an empty network namespace. Raises OSError."""
    if libc().unshare(0x10000000 | 0x40000000):  # CLONE_NEWUSER, CLONE_NEWNET
        raise OSError(ctypes.get_errno(), "network namespace")
