"""The screens of the watcher, one file each, and the reader that opens over them.

Each screen requests its data from the application, which reads it in a worker thread, and draws the result. Left out:
reading a run (`arena.watch.queries`) and wording (`arena.watch.render`).
"""

from arena.watch.screens.agent import AgentPane
from arena.watch.screens.arena import ArenaPane
from arena.watch.screens.base import Host, Pane
from arena.watch.screens.library import LibraryPane
from arena.watch.screens.reader import Reader, open_post
from arena.watch.screens.review import ReviewPane
from arena.watch.screens.rounds import RoundsPane

__all__ = ["AgentPane", "ArenaPane", "Host", "LibraryPane", "Pane", "Reader", "ReviewPane", "RoundsPane", "open_post"]
