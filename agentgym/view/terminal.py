"""`agentgym view RUN --terminal`: a run's trajectories in a terminal, over ssh, from 40 columns on.

The table of trajectories and the curves are one screen, one trajectory turn by turn is another. Everything from models
and environments is shown as plain text: no markup is read, and control characters are shown, not sent.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, ClassVar, cast

from rich.text import Text
from textual import work
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import DataTable, Input, Static

from agentgym.errors import UsageError
from agentgym.view.curves import curves
from agentgym.view.data import RunData
from agentgym.view.rows import Query
from agentgym.view.screens import Help, One
from agentgym.view.strips import one_line, one_line_end, safe, short, sparkline

PAGE = 200
"""Rows that the table holds at once."""
EVERY = 1.0
"""Seconds between two looks at a run that may be growing."""
SORTS = ("n", "score", "turns", "faults", "credit_sum", "credit_min", "credit_max", "tokens", "seconds")
Cell = Callable[[dict[str, Any]], Text]
CURVES = ("train/success", "eval/success", "train/reward", "train/score", "learn/loss", "eval/score", "train/turns")


class Terminal(App[None]):
    """The viewer. Ctrl-C and q end it.

    Attributes:
        query_now: which rows the table shows.
    """

    ENABLE_COMMAND_PALETTE = False
    SCREENS = {"help": Help}  # noqa: RUF012 - as textual declares it
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("j", "move(1)", "down"),
        Binding("k", "move(-1)", "up"),
        Binding("s", "sort", "sort"),
        Binding("r", "reverse", "reverse"),
        Binding("slash", "filter", "filter"),
        Binding("f", "faults", "faults"),
        Binding("e", "cycle('ending')", "ending"),
        Binding("p", "cycle('phase')", "phase"),
        Binding("x", "clear", "clear"),
        Binding("right_square_bracket", "page(1)", "next page"),
        Binding("left_square_bracket", "page(-1)", "previous page"),
        Binding("question_mark", "push_screen('help')", "help"),
        Binding("q", "quit", "quit"),
        Binding("ctrl+c", "quit", "quit", show=False),
    ]
    CSS = """
    #about { height: 1; text-style: bold; }
    #curves { height: auto; max-height: 4; }
    #filter { height: 1; border: none; padding: 0; display: none; }
    #rows { height: 1fr; }
    #state { height: 1; color: $text-muted; }
    """

    def __init__(self, run: RunData) -> None:
        """Args: `run` what is shown."""
        super().__init__()
        self.data = run
        self.query_now = Query(limit=PAGE)
        self.found: dict[str, Any] = {"total": 0, "rows": [], "facets": {}}
        self._first = True

    def compose(self) -> ComposeResult:
        """What there is on the first screen."""
        yield Static(id="about", markup=False)
        yield Static(id="curves", markup=False)
        yield Input(placeholder="text of an id, a task or a group", id="filter")
        yield DataTable[Text](id="rows", cursor_type="row", zebra_stripes=True)
        yield Static(id="state", markup=False)

    def on_mount(self) -> None:
        """Open the run, and look again from time to time."""
        self.look()
        self.set_interval(EVERY, self.look)
        self.query_one(DataTable).focus()

    def on_resize(self) -> None:
        """Columns that fit."""
        self.show_rows()

    @work(thread=True, exclusive=True, group="look", exit_on_error=False)
    def look(self) -> None:
        """Take in what the run has written since."""
        try:
            changed = self.data.refresh()
        except OSError as error:
            self.call_from_thread(self.say, safe(str(error)))
            return
        if changed or self._first:
            self._first = False
            self.call_from_thread(self.ask)

    def ask(self) -> None:
        """Ask for the rows anew, and show them."""
        try:
            self.found = self.data.rows(self.query_now)
        except UsageError as error:
            self.say(str(error))
            return
        self.show_rows()
        self.show_curves()

    def say(self, text: str) -> None:
        """A remark at the bottom."""
        self.query_one("#state", Static).update(Text(one_line(text, max(10, self.size.width))))

    def show_rows(self) -> None:
        """The table, with the columns that there is room for."""
        if not self.is_running or not len(self.query("#rows")):
            return
        table = cast(Any, self.query_one("#rows", DataTable))
        at, width = table.cursor_row, self.size.width
        table.clear(columns=True)
        columns = _columns(width)
        for title, size, _ in columns:
            table.add_column(title, width=size)
        for row in self.found["rows"]:
            table.add_row(*(cell(row) for _, _, cell in columns))
        if self.found["rows"]:
            table.move_cursor(row=min(at, len(self.found["rows"]) - 1))
        about = self.data.about()
        state = "live" if about["live"] else "indexing" if about.get("indexing") else ""
        head = f"{about['name']}  {about['env'] or ''}  {about['total']:,} trajectories  {state}"
        self.query_one("#about", Static).update(Text(one_line(head, max(10, width))))
        query = self.query_now
        said = [f"{self.found['total']:,} rows", f"by {query.sort}{' down' if query.desc else ''}"]
        said += [f"{name} {value}" for name in ("phase", "ending", "q") if (value := getattr(query, name))]
        said += ["with faults"] if query.fault == "1" else []
        if self.found["total"] > PAGE:
            said.append(f"from {query.offset + 1:,}")
        said += about["warnings"][:1]
        self.say(", ".join([*said, "? keys"]) if width >= 60 else ", ".join(["?", *said]))

    def show_curves(self) -> None:
        """The curves that say most, as many as there is room for."""
        width = max(20, self.size.width)
        found = {one["name"]: one["points"] for one in curves([self.data])["series"]}
        names = [name for name in CURVES if name in found][: 4 if self.size.height >= 24 else 2]
        lines: list[str] = []
        for name in names:
            values = [point["mean"] for point in found[name]]
            known = [value for value in values if value is not None]
            label, last = one_line(name, 14).ljust(14), short(known[-1]) if known else "-"
            lines.append(f"{label} {last:>6} {sparkline(values, width - 23)}")
        self.query_one("#curves", Static).update(Text("\n".join(lines)))

    def change(self, **fields: Any) -> None:
        """Other rows."""
        self.query_now = dataclasses.replace(self.query_now, **{"offset": 0, **fields})
        self.ask()

    # Keys -----------------------------------------------------------------------------------------------------------

    def on_data_table_row_selected(self, event: DataTable.RowSelected) -> None:
        """Open a trajectory."""
        numbers = [row["n"] for row in self.found["rows"]]
        if numbers:
            self.push_screen(One(self.data, numbers, min(event.cursor_row, len(numbers) - 1)))

    def action_move(self, by: int) -> None:
        """Another row."""
        table = cast(Any, self.query_one(DataTable))
        table.move_cursor(row=max(0, table.cursor_row + by))

    def action_sort(self) -> None:
        """By the next column."""
        place = SORTS.index(self.query_now.sort) if self.query_now.sort in SORTS else -1
        self.change(sort=SORTS[(place + 1) % len(SORTS)])

    def action_reverse(self) -> None:
        """The other way round."""
        self.change(desc=not self.query_now.desc)

    def action_faults(self) -> None:
        """Only those with faults, or all."""
        self.change(fault=None if self.query_now.fault else "1")

    def action_cycle(self, name: str) -> None:
        """The next value of a facet, and all after the last."""
        values: list[str | None] = [None, *self.found["facets"].get(name, {})]
        now = getattr(self.query_now, name)
        place = values.index(now) if now in values else 0
        self.change(**{name: values[(place + 1) % len(values)]})

    def action_clear(self) -> None:
        """All rows again."""
        self.query_now = Query(limit=PAGE)
        self.ask()

    def action_page(self, by: int) -> None:
        """The rows before or after."""
        offset = self.query_now.offset + by * PAGE
        if 0 <= offset < self.found["total"]:
            self.change(offset=offset)

    def action_filter(self) -> None:
        """Ask for a text."""
        box = self.query_one("#filter", Input)
        box.styles.display = "block"
        box.focus()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Filter by what was typed."""
        event.input.styles.display = "none"
        self.query_one(DataTable).focus()
        self.change(q=event.value[:200] or None)


def _columns(width: int) -> list[tuple[str, int, Cell]]:
    """Titles, widths and cells of the columns that fit, the most telling ones first in line to stay."""

    def number(name: str) -> Cell:
        return lambda row: Text(short(row[name]), justify="right", no_wrap=True, end="")

    def words(name: str, size: int) -> Cell:
        return lambda row: Text(one_line(str(row[name] or ""), size), no_wrap=True, end="")

    def mark(row: dict[str, Any]) -> Text:
        return Text("✓" if row["success"] else "·", style="green" if row["success"] else "bright_black")

    wide = width >= 70
    task = max(8, width - (64 if wide else 29))
    columns: list[tuple[str, int, Cell]] = [
        ("n", 5, number("n")),
        ("", 1, mark),
        ("task", task, lambda row: Text(one_line_end(row["task"], task), no_wrap=True, end="")),
        ("score", 5, number("score")),
        ("turns", 5, number("turns")),
    ]
    if wide:
        columns += [
            ("phase", 10, words("phase", 10)),
            ("ending", 12, words("ending", 12)),
            ("faults", 6, number("faults")),
        ]
    return columns
