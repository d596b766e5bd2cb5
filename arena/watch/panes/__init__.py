"""The screens of the watcher, one file each, and what opens over them.

Each asks the application for what it shows, off the screen's thread, and draws what comes back. Left out: reading a
run (`arena.watch.data`) and wording (`arena.watch.texts`).
"""

from arena.watch.panes.agent import AgentPane
from arena.watch.panes.arena import ArenaPane
from arena.watch.panes.base import Host, Pane
from arena.watch.panes.library import LibraryPane
from arena.watch.panes.reader import Reader, open_post
from arena.watch.panes.review import ReviewPane
from arena.watch.panes.rounds import RoundsPane

__all__ = ["AgentPane", "ArenaPane", "Host", "LibraryPane", "Pane", "Reader", "ReviewPane", "RoundsPane", "open_post"]
