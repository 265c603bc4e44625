"""Screens of the terminal viewer beside its table: one trajectory turn by turn, and the keys."""

from __future__ import annotations

from typing import Any, ClassVar, cast

from rich.text import Text
from textual import work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.screen import ModalScreen, Screen
from textual.widgets import Static

from agentgym.errors import AgentgymError
from agentgym.view.data import RunData
from agentgym.view.reading import conversation, headline, strips
from agentgym.view.strips import safe

KEYS = """\
? shows this, q leaves

Trajectories
  j k, arrows  move
  enter        open
  s            sort by the next column
  r            reverse
  /            filter by a text
  f            those with faults
  e p          next ending, phase
  ] [          next, previous page
  x            no filters

One trajectory
  j n, right   next turn
  k p, left    previous turn
  g G          first, last
  space b      scroll
  ] [          next, previous one
  c            credit, on or off
  q, escape    back

In the strips ▁▃▅▇█ is above zero,
░▒▓ below it"""


class Help(ModalScreen[None]):
    """The keys."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,q,question_mark,enter", "dismiss", "back")]
    DEFAULT_CSS = """
    Help { align: center middle; }
    Help VerticalScroll { width: 100%; max-width: 48; height: auto; max-height: 100%; border: round $primary; }
    """

    def compose(self) -> ComposeResult:
        """One text."""
        yield VerticalScroll(Static(KEYS, markup=False))


class One(Screen[None]):
    """One trajectory, turn by turn."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("j,n,right,down", "turn(1)", "next"),
        Binding("k,p,left,up", "turn(-1)", "previous"),
        Binding("g,home", "turn(-100000)", "first"),
        Binding("G,end", "turn(100000)", "last"),
        Binding("right_square_bracket", "other(1)", "next one"),
        Binding("left_square_bracket", "other(-1)", "previous one"),
        Binding("space,pagedown", "scroll(1)", "down"),
        Binding("b,pageup", "scroll(-1)", "up"),
        Binding("c", "credit", "credit"),
        Binding("question_mark", "app.push_screen('help')", "help"),
        Binding("q,escape", "leave", "back"),
    ]
    DEFAULT_CSS = """
    One #head { height: auto; max-height: 3; text-style: bold; }
    One #strips { height: auto; max-height: 50%; overflow-y: auto; }
    One #talk { height: 1fr; border-top: solid $primary; }
    One #keys { height: 1; color: $text-muted; }
    """

    def __init__(self, run: RunData, numbers: list[int], place: int) -> None:
        """Args:
        run: whose.
        numbers: rows that one can go on to.
        place: of the first one shown.
        """
        super().__init__()
        self.data, self.numbers, self.place = run, numbers, place
        self.now = 0
        self.with_credit = True
        self.record: dict[str, Any] | None = None
        self.gave: dict[str, Any] | None = None

    def compose(self) -> ComposeResult:
        """Head, strips, and the turn."""
        yield Static(id="head", markup=False)
        yield Static(id="strips", markup=False)
        with VerticalScroll(id="talk"):
            yield Static(id="turn", markup=False)
        yield Static("j k turn  ] [ other  c credit  ? keys  q back", id="keys", markup=False)

    def on_mount(self) -> None:
        """Read the first one."""
        self.read()

    def on_resize(self) -> None:
        """Draw for the new width."""
        self.draw()

    def read(self) -> None:
        """Take another trajectory."""
        self.now, self.record, self.gave = 0, None, None
        n = self.numbers[self.place]
        try:
            self.record = self.data.trajectory(n)
        except (AgentgymError, OSError) as error:
            self.query_one("#head", Static).update(Text(safe(str(error))))
            return
        self.draw()
        self.load_credit(n)

    @work(thread=True, exclusive=True, exit_on_error=False)
    def load_credit(self, n: int) -> None:
        """Every module's credit, which may take a moment."""
        try:
            gave = self.data.credit(n)
        except (AgentgymError, OSError) as error:
            gave: dict[str, Any] = {"basis": str(error), "modules": [], "recorded": None, "columns": {}}
        viewer = cast(Any, super()).app
        viewer.call_from_thread(self.take_credit, n, gave)

    def take_credit(self, n: int, gave: dict[str, Any]) -> None:
        """Show credit, unless another trajectory is looked at meanwhile."""
        if n == self.numbers[self.place]:
            self.gave = gave
            self.draw()

    def draw(self) -> None:
        """Show the turn that is looked at."""
        if self.record is None or not self.is_mounted:
            return
        width = max(20, self.size.width)
        self.query_one("#head", Static).update(headline(self.record, self.now, width))
        shown = strips(self.record, self.gave if self.with_credit else None, self.now, width)
        self.query_one("#strips", Static).update(shown)
        self.query_one("#turn", Static).update(conversation(self.record, self.now, self.gave))
        self.query_one("#talk", VerticalScroll).scroll_home(animate=False)

    def action_turn(self, by: int) -> None:
        """Another turn; one after the last shows how it ended."""
        if self.record is not None:
            self.now = max(0, min(len(self.record["turns"]), self.now + by))
            self.draw()

    def action_other(self, by: int) -> None:
        """Another trajectory of the table."""
        place = max(0, min(len(self.numbers) - 1, self.place + by))
        if place != self.place:
            self.place = place
            self.read()

    def action_scroll(self, pages: int) -> None:
        """A page of a long turn."""
        talk = self.query_one("#talk", VerticalScroll)
        talk.scroll_relative(y=pages * max(1, talk.size.height - 1), animate=False)

    def action_credit(self) -> None:
        """With the credit of every module, or without."""
        self.with_credit = not self.with_credit
        self.draw()

    def action_leave(self) -> None:
        """Back to the table."""
        self.dismiss(None)
