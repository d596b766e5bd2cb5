"""What a run looks like while it is played: terminal screens fed by the loop's listener or by the run store.

Left out: anything that changes a run. Not guaranteed: that times left are right; they are projected from the
generations played so far.
"""
