"""What a run looks like while it is played: terminal screens fed by the loop's listener or by the run store.

`progress` listens to the loop; `app` and `panes/` are the screens of `watch`, which draw what `data/` and `history` read,
in the words of `texts/`. Only `app` and `panes/` import textual.

Left out: anything that changes a run. Not guaranteed: that times left are right; they are projected from the
generations played so far.
"""
