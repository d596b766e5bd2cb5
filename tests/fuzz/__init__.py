"""Fuzz tests of everything that Ratchet reads, with hypothesis: a few fixed inputs in the test suite, and a campaign
with new inputs.

    python -m tests.fuzz --minutes 10            # all targets in turn, with new input each time
    python -m tests.fuzz --minutes 10 run.db     # targets whose name contains one of the words
    python -m tests.fuzz --atheris --minutes 10 yaml    # one target, guided by coverage (pip install atheris)

A target generates a value and uses it. The result must be a value, or a ValueError or OSError with a one-line message:
never another exception, a hang, unbounded memory, or a file outside the working folder.
"""
