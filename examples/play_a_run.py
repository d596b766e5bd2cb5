"""Play a run from Python and print held-out scores: `python examples/play_a_run.py [FOLDER]`."""

import sys

from arena import Arena, analyze, load_config, play


def main(folder: str = "runs") -> None:
    config = load_config("tiny", [f"run.folder={folder}", "run.name=from_python", "generations=2"])
    with Arena.create(config) as arena:
        play(arena)
        analysis = analyze(arena.store, config)
    for row in analysis["heldout"]:
        print(f"generation {row['generation']}, depth {row['depth']}: pass@1 {row['pass_at_1']:.2f}")
    print(f"library: {analysis['library']['posts']} posts in {config.run.folder}/{config.run.name}")


if __name__ == "__main__":
    main(*sys.argv[1:])
