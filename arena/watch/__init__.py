"""What a run looks like while it is played: terminal screens fed by the loop's listener or by the run store.

`progress` listens to the loop. `app`, `panes/`, `slider`, `keys` and `help` are the screens, and import textual;
they draw what `data/` reads and `history` and `merit` fold, in the words of `texts/`. `launch` plays a run in a process
of its own beside them.

Left out: anything that changes a run. Not guaranteed: that times left are right; they are projected from the
generations played so far.
"""
