"""The benchmark: our engine and learner beside the systems a user would take instead, in the same minutes.

`parts.py` says what is compared with what and which ratio is aimed at, `workload.py` what is done, `measure.py` how it
is timed; `ours.py` and the `*_peer*.py` files do it; `limit.py` is the measured limit of matrix products.
`large.py` stands apart: real model sizes on a GPU, against what the device can do. `watch.py`, on a run of
`large_run.py`, is about the screens. Left out: quality of what is
generated or learned, several machines.
"""
