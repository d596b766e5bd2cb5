"""The report of a run: figures computed from the run store, sections with sentences, and a page.

`metrics` computes figures from a store, with the estimators of `stats`; `sections` states findings in sentences, tables
and `figures`; `page` and `write` make the HTML page, `terminal` prints sentences and tables, and `comparison` compares
several runs.

Not guaranteed: that a difference between two generations of one run is more than chance; that takes several seeds and
their intervals.
"""
