"""The script that a fresh Python runs for the subprocess sandbox. No other module imports it.

It reads a job from standard input and forks once per call. Each child process drops privileges with
`curricula/sandbox_guards.py`, and only then defines the code, calls the function and writes the result to a pipe as
type-tagged JSON. The parent process runs none of the code: it waits, kills children that are late or left behind, and
forwards a limited number of bytes.

This is the only file of the program that executes text as code.
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
else:  # the packages are not on the path, and importing typing would double the start-up time
    import sandbox_guards
    import sandbox_wire


def guard(job: dict[str, Any]) -> None:
    """Apply the guards that the job names, seccomp last, since it blocks the others. Raises OSError if one fails."""
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
    """Define the code and call its function. Returns [reason, encoded value or type name, detail]."""
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
    """The message of an exception; empty if computing it raises."""
    try:
        return str(error)[:800]
    except BaseException:
        return ""


def child(job: dict[str, Any], args: Any, out: int) -> NoReturn:
    """Make one call in the forked process. Never returns."""
    try:
        os.setsid()
        if sys.platform == "linux":
            ctypes.CDLL(None).prctl(1, signal.SIGKILL, 0, 0, 0)  # PR_SET_PDEATHSIG: die with the parent
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


def run_call(job: dict[str, Any], args: Any) -> tuple[bytes, bytes]:
    """Fork, wait and clean up. Returns a mark (S: said, L: late, O: output too long, K: killed) and the output."""
    back, out = os.pipe()
    pid = os.fork()
    if not pid:
        os.close(back)
        child(job, args, out)
    os.close(out)
    late = False

    def on_alarm(signum: int, frame: FrameType | None) -> None:
        nonlocal late
        late = True
        kill_call(pid)  # closes the pipe

    signal.signal(signal.SIGALRM, on_alarm)
    signal.setitimer(signal.ITIMER_REAL, job["time"])
    said = b""
    while len(said) <= job["most"] and (part := os.read(back, 65536)):
        said += part
    signal.setitimer(signal.ITIMER_REAL, 0)
    os.close(back)
    status = None if late else kill_call(pid)
    if late or (status is not None and os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGXCPU):
        return b"L", b""
    if len(said) > job["most"]:
        return b"O", b""
    if not said and status is not None and os.WIFSIGNALED(status):
        return b"K", str(os.WTERMSIG(status)).encode()
    return b"S", said


def kill_call(pid: int) -> int | None:
    """Kill the process of a call and its descendants, which this process inherits (see `main`). Returns the exit status
    of the call's process, or None if it was reaped before."""
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
    """Read exactly `count` bytes, unbuffered, so that a call cannot see the arguments of the next one."""
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
    """Read the job, then the arguments of each call; write a mark, a length and the output for each."""
    job = message()
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER
    late = 0
    for _ in range(job["calls"]):
        args = sandbox_wire.decode(message())
        mark, said = run_call(job, args) if late < job["patience"] else (b"L", b"")
        late += mark == b"L"
        os.write(1, mark + struct.pack(">I", len(said)) + said)
