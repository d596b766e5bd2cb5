"""What a fresh Python does for the subprocess sandbox. No part of the program imports this.

It reads a job from its input, and forks once for each call. Each of these processes gives up what
`curricula/sandbox_guards.py` takes from it, and only then defines the code, calls the function and writes what came of
it to a pipe, as JSON with tags for types. The process that forks runs nothing of the code: it waits, kills what is
late and everything that is left, and passes on at most so many bytes.

This is the one file of the program in which text is run as code.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import struct
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType
    from typing import Any, NoReturn

    from curricula import sandbox_guards, sandbox_wire
else:  # the program's packages are not there; and typing alone would take half of the start
    import sandbox_guards
    import sandbox_wire


def guard(job: dict[str, Any]) -> None:
    """Take up the guards that the job names, seccomp last: it forbids the others. Raises OSError if one is not had."""
    names = job["guards"]
    if not {"rlimits", "network namespace", "landlock", "seccomp"}.issuperset(names):
        raise OSError(f"no such guard among {names}")
    if "rlimits" in names:
        sandbox_guards.rlimits(job["memory"], job["seconds"])
    if "network namespace" in names:
        sandbox_guards.private_network()
    if "landlock" in names:
        sandbox_guards.landlock()
    if "seccomp" in names:
        sandbox_guards.seccomp()


def compute(job: dict[str, Any], args: Any) -> list[Any]:
    """Define the code and call its function: why or that it ended, a value or an exception's name, a detail."""
    try:
        program = compile(job["code"], "<program>", "exec", dont_inherit=True)
    except (SyntaxError, ValueError, RecursionError) as error:
        return ["syntax", type(error).__name__, str(error)[:800]]
    space: dict[str, Any] = {"__name__": "program"}
    try:
        exec(program, space)
        if job["function"] not in space:
            return ["raised", "NameError", f"the code does not define {job['function']}"]
        value = space[job["function"]](*args)
    except BaseException as error:
        return ["raised", type(error).__name__, describe(error)]
    try:
        return ["ok", sandbox_wire.encode(value), ""]
    except TypeError as error:
        return ["not data", type(value).__name__, str(error)[:800]]
    except RecursionError:
        return ["output", type(value).__name__, "nested deeper than allowed"]
    except MemoryError:
        return ["output", type(value).__name__, "larger than allowed"]


def describe(error: BaseException) -> str:
    """What an exception says of itself, which may be another exception."""
    try:
        return str(error)[:800]
    except BaseException:
        return ""


def child(job: dict[str, Any], args: Any, out: int) -> NoReturn:
    """One call, in a process of its own. Never returns."""
    try:
        os.setsid()
        if sys.platform == "linux":
            ctypes.CDLL(None).prctl(1, signal.SIGKILL, 0, 0, 0)  # PR_SET_PDEATHSIG: end with the process that forked
        nothing = os.open(os.devnull, os.O_RDWR)
        for fd in (0, 1, 2):
            os.dup2(nothing, fd)
        os.close(nothing)
        try:
            guard(job)
        except OSError as error:
            if "probe" in job:
                os.write(out, json.dumps(["no", None, str(error)]).encode())
            raise
        sys.setrecursionlimit(job["recursion"])
        said = ["ok", None, ""] if "probe" in job else compute(job, args)
        try:
            data = json.dumps(said).encode()
        except BaseException as error:
            data = json.dumps(["output", type(error).__name__, ""]).encode()
        while data:
            data = data[os.write(out, data) :]
    finally:
        os._exit(0)


def watch(job: dict[str, Any], args: Any) -> tuple[bytes, bytes]:
    """Fork, wait and clean up: a mark (Said, Late, Overlong, Killed by a signal) and what the call said."""
    back, out = os.pipe()
    pid = os.fork()
    if not pid:
        os.close(back)
        child(job, args, out)
    os.close(out)
    late = False

    def ring(signum: int, frame: FrameType | None) -> None:
        nonlocal late
        late = True
        end(pid)  # which closes the pipe

    signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, job["time"])
    said = b""
    while len(said) <= job["most"] and (part := os.read(back, 65536)):
        said += part
    signal.setitimer(signal.ITIMER_REAL, 0)
    os.close(back)
    status = None if late else end(pid)
    if late or (status is not None and os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGXCPU):
        return b"L", b""
    if len(said) > job["most"]:
        return b"O", b""
    if not said and status is not None and os.WIFSIGNALED(status):
        return b"K", str(os.WTERMSIG(status)).encode()
    return b"S", said


def end(pid: int) -> int | None:
    """End a call and whatever it left, which is ours where processes can be started at all (see `main`); the status
    of its process, if it had not been ended before."""
    status, pids = None, [pid]
    while pids:
        for each in pids:
            for kill in (os.killpg, os.kill):
                try:
                    kill(each, signal.SIGKILL)
                except OSError:
                    continue
            try:
                ended = os.waitpid(each, 0)[1]
            except OSError:
                continue
            status = ended if each == pid else status
        try:
            with open(f"/proc/self/task/{os.getpid()}/children") as file:
                pids = [int(word) for word in file.read().split()]
        except OSError:
            pids = []
    return status


def exactly(count: int) -> bytes:
    """So many bytes of the input: never more, so that a call cannot see the arguments of the next."""
    data = b""
    while len(data) < count:
        part = os.read(0, count - len(data))
        if not part:
            raise EOFError
        data += part
    return data


def message() -> Any:
    return json.loads(exactly(struct.unpack(">I", exactly(4))[0]))


def main() -> None:
    """The job, then each call's arguments; a mark, a length and what was said for each."""
    job = message()
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER
    late = 0
    for _ in range(job["calls"]):
        args = sandbox_wire.decode(message())
        mark, said = watch(job, args) if late < job["patience"] else (b"L", b"")
        late += mark == b"L"
        os.write(1, mark + struct.pack(">I", len(said)) + said)
