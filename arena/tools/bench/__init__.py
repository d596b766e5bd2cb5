"""Benchmarks: our engine and learner beside the systems that a user would take instead, measured in the same minutes.

`plans.py` says what is compared with what and the target ratios, `workload.py` holds the work and `timing.py` the
timing; `ours.py` and the `*_peer*.py` files do the work; `roofline.py` measures the limit of matrix products. `gpu.py`
stands apart: real model sizes on a GPU, against the rates of the device. `watch.py` measures the screens on a run of
`synthetic_run.py`. Left out: quality of what is generated or learned; several machines.
"""
