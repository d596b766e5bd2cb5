"""What a run was, told after the fact: numbers from the run store, tables for a terminal, and plots.

`analysis` turns a store into plain data, `tables` and `plots` show that data and nothing else, `statistics` holds the
estimators. Left out: comparisons of several runs. Not guaranteed: that a difference between two generations of one run
is more than luck; for that, several seeds and their intervals are needed.
"""
