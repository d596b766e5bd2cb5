"""A fuzzing campaign: all targets in turn, each turn in a separate process with limited memory."""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from arena.config.shipped import ROOT

sys.path.insert(0, str(ROOT))
TURN = 25.0
"""Duration of a turn, in seconds."""
MEMORY = 12_000_000_000
"""Address space of a turn, in bytes; torch and its threads reserve part of it."""


def main() -> int:
    parser = argparse.ArgumentParser("python -m tests.fuzz", description="Fuzz all readers of untrusted input.")
    parser.add_argument("names", nargs="*", help="words in the names of targets (default: all targets)")
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=0, help="random seed of the first turn; increased by one per round")
    parser.add_argument("--list", action="store_true", help="print the targets and exit")
    parser.add_argument("--atheris", action="store_true", help="guide one target by coverage for the whole time")
    parser.add_argument("--turn", nargs=3, metavar=("TARGET", "RUN", "SECONDS"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.turn:
        return turn(given.turn[0], Path(given.turn[1]), float(given.turn[2]), given.seed, given.atheris)
    from tests.fuzz.targets import TARGETS

    chosen = [n for n in TARGETS if not given.names or any(word in n for word in given.names)]
    if given.list or not chosen:
        print("\n".join(TARGETS))
        return 0 if given.list else 2
    with tempfile.TemporaryDirectory(prefix="ratchet-fuzz-") as folder:
        return campaign(chosen, make_run(Path(folder)), given.minutes * 60, given.seed, given.atheris)


def make_run(folder: Path) -> Path:
    """Play a small run. Returns its folder."""
    os.chdir(ROOT)
    command = [
        sys.executable,
        "run_arena.py",
        "run",
        "configs/tiny.yaml",
        f"run.folder={folder}",
        "run.name=calm",
        "-q",
    ]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return folder / "calm"


def campaign(names: list[str], run: Path, seconds: float, seed: int, atheris: bool) -> int:
    """Run turns until the time is up. Returns 1 if there was a failure."""
    end, tried, found = time.monotonic() + seconds, Counter[str](), dict[str, str]()
    while (left := end - time.monotonic()) > 1:
        for name in names:
            if name in found or (left := end - time.monotonic()) < 1:
                continue
            length = left if atheris else min(left, TURN, seconds / len(names))
            command = [sys.executable, "-m", "tests.fuzz", "--seed", str(seed), "--turn", name, str(run), str(length)]
            done = subprocess.run(
                command + ["--atheris"] * atheris, capture_output=True, text=True, timeout=length + 300, cwd=ROOT
            )
            counts = [int(line.split()[1]) for line in done.stdout.splitlines() if line.startswith("tried ")]
            tried[name] += counts[-1] if counts else 0
            if done.returncode:
                found[name] = done.stderr[-3000:]
                print(f"FOUND in {name} (seed {seed}, exit {done.returncode}):\n{done.stderr[-3000:]}\n", flush=True)
            else:
                print(f"{name}: {tried[name]:,} values", flush=True)
        seed += 1
        if len(found) == len(names):
            break
    print(f"{sum(tried.values()):,} values of {len(names)} targets; found: {', '.join(found) or 'nothing'}")
    return 1 if found else 0


def turn(name: str, run: Path, seconds: float, seed: int, atheris: bool) -> int:
    """Run one target until its time is up."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    import torch

    from tests.fuzz.base import Place
    from tests.fuzz.targets import TARGETS

    torch.set_num_threads(1)
    target = TARGETS[name]
    scratch = Path(tempfile.mkdtemp(prefix="ratchet-fuzz-turn-"))
    place = Place(run, scratch / "here")
    place.scratch.mkdir()
    try:
        return (coverage_guided if atheris else random_inputs)(target, place, seconds, seed)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def random_inputs(target: object, place: object, seconds: float, seed: int) -> int:
    import hypothesis
    from hypothesis import HealthCheck, given, settings

    from tests.fuzz.base import Place, Target

    assert isinstance(target, Target) and isinstance(place, Place)
    end, tried, again = time.monotonic() + seconds, 0, seed * 1000
    while time.monotonic() < end:

        @hypothesis.seed(again)
        @settings(
            max_examples=50, deadline=None, database=None, suppress_health_check=list(HealthCheck), print_blob=False
        )
        @given(target.values)
        def attack(value: object) -> None:
            nonlocal tried
            if time.monotonic() < end + 5:
                tried += 1
                target.attack(place, value)

        attack()
        again += 1
    print(f"tried {tried}")
    return 0


def coverage_guided(target: object, place: object, seconds: float, seed: int) -> int:
    """Hypothesis builds values from bytes that atheris chooses by coverage."""
    import atheris

    with atheris.instrument_imports(include=["arena", "agents", "curricula", "culture", "yaml", "jinja2"]):
        import tests.fuzz.targets  # noqa: F401
    from hypothesis import HealthCheck, given, settings

    from tests.fuzz.base import Place, Target

    assert isinstance(target, Target) and isinstance(place, Place)
    tried = 0

    @settings(deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(target.values)
    def attack(value: object) -> None:
        nonlocal tried
        tried += 1
        target.attack(place, value)
        if tried % 100 == 0:
            print(f"tried {tried}", flush=True)

    options = [
        sys.argv[0],
        f"-max_total_time={max(1, int(seconds))}",
        f"-seed={seed + 1}",
        "-rss_limit_mb=0",
        "-timeout=60",
    ]
    atheris.Setup(options, lambda data: attack.hypothesis.fuzz_one_input(data))
    atheris.Fuzz()
    return 0


if __name__ == "__main__":
    sys.exit(main())
