"""Watching a run: a progress display fed by the loop's listener, and terminal screens fed by the run store.

`live` is the progress display. `app`, `screens/`, `timeline`, `keys`, `help` and `confirm` are the terminal
application and import textual. `queries/` reads the run store, `history` and `scores` aggregate it incrementally, and
`render/` turns the results into text. `review_queue` ranks the items for review, `commands` and `writer` write what a
person requests, and `launch` starts a run in a separate process. `sinks/` export scalars, for example to TensorBoard.

Left out: changing a run other than through the `control` table. Not guaranteed: that remaining times are right; they
are projected from the generations played so far.
"""
