"""Hostile input for everything that Ratchet reads, thrown by hypothesis: in the suite a little of it, always the same;
as a campaign as much as one likes.

    python -m tests.fuzz --minutes 10            # all targets in turns, new input every time
    python -m tests.fuzz --minutes 10 run.db     # targets whose names hold one of these words
    python -m tests.fuzz --atheris --minutes 10 yaml    # one target, led by coverage (pip install atheris)

A target makes a value and uses it. What comes back has to be a value or one clear line of ValueError or OSError:
never another exception, a hang, memory without bound, or a file outside the folder that is played in.
"""
