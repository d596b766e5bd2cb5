"""What a run was, told after the fact: numbers from the run store, tables for a terminal, and a page with figures.

`analysis` turns a store into plain data, `tables` shows it on a terminal, and `write` makes the page: `sections` say in
sentences and `figure`s what was found, `draw` and `interactive` draw these, `page` puts them together. `statistics`,
`rasch`, `ratings` and `usefulness` hold the estimators. Left out: comparisons of several runs. Not guaranteed: that a
difference between two generations of one run is more than luck; for that, several seeds and their intervals are needed.
"""
