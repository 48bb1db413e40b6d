"""What is shown while a shop is open: a screen of 80 columns and 24 lines, or a plain line now and then."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

from headrace.demo.glance import DAY_COLUMNS, Glance
from headrace.words import COUNTS

if TYPE_CHECKING:
    from rich.console import RenderableType

    from headrace.demo.open_hours import OpenHours

RATE_OVER_SECS = 10.0
SHOWN = ("silver", "superseded", "duplicate", "quarantined")
HEADS = {
    "date_day": "day (UTC)", "add_to_carts": "to cart", "transactions": "orders", "tickets_opened": "tickets"
}  # fmt: skip


class Scene:
    """Draws glances, each beside the one before it: what counts is what has changed."""

    def __init__(self, place: str, shop: OpenHours, cd: str) -> None:
        """`place` is the project's folder, `cd` how to get there from another terminal."""
        self._place, self._shop, self._feed, self._up = place, shop, shop.feed, shop.up
        self._cd = cd
        self._recent: deque[Glance] = deque()

    def draw(self, glance: Glance, *, ending: bool = False) -> RenderableType:
        """Return the screen."""
        self._seen(glance)
        from rich.console import Group
        from rich.text import Text

        parts: list[RenderableType] = [
            Text(f"A shop is open in {self._place}", style="bold", no_wrap=True, overflow="ellipsis"),
            Text(self._sent(), style="dim", no_wrap=True, overflow="ellipsis"),
            Text(""),
            self._fates(glance),
            *self._verdict(glance),
            Text(""),
            *self._rejected(glance),
            Text(""),
            *self._gold(glance),
            Text(""),
        ]
        if ending:
            parts.append(Text("The shop closes; what it sent is brought into silver.", style="bold"))
        else:
            parts.append(Text("Ctrl-C closes the shop. Meanwhile, in another terminal:", style="dim"))
            parts += [Text(f"  {command}", no_wrap=True, overflow="fold") for command in self._commands()]
        return Group(*parts)

    def line(self, glance: Glance) -> str:
        """Return the same in a line of plain text."""
        counts = glance.together
        said = [f"{counts['accepted']:,} accepted"]
        said += [f"{counts[fate]:,} {fate}" for fate in COUNTS[1:] if counts[fate]]
        said += [f"gold {glance.gold}"] if glance.gold else []
        said += self._problems(glance)
        return " · ".join(said)

    def _commands(self) -> list[str]:
        url = self._shop.listening
        curl = [f"""curl {url}/v1/events/clickstream -d '{{"event_id": "evt_1"}}'"""] if url else []
        return [self._cd, *curl, "headrace bad clickstream"]

    def _sent(self) -> str:
        way = f"; clicks and orders go to {self._shop.listening}" if self._shop.listening else ""
        return f"{self._feed.sent.total():,} sent, {self._feed.rate:,.0f}/s{way}"

    def _fates(self, glance: Glance) -> RenderableType:
        from rich.table import Table

        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
        table.add_column("source", no_wrap=True)
        for name in ("accepted", "/s", *SHOWN):
            table.add_column(name, justify="right", no_wrap=True)
        for source, counts in glance.ledger.items():
            rate = self._rate(glance, source)
            table.add_row(
                source,
                f"{counts['accepted']:,}",
                f"{rate:,.0f}",
                *(f"{counts[fate]:,}" for fate in SHOWN[:-1]),
                f"[red]{counts['quarantined']:,}[/red]",
            )
        return table

    def _seen(self, glance: Glance) -> None:
        self._recent.append(glance)
        while glance.at - self._recent[0].at > RATE_OVER_SECS:
            self._recent.popleft()

    def _rate(self, glance: Glance, source: str) -> float:
        before = self._recent[0]
        if glance.at <= before.at or source not in before.ledger:
            return 0.0
        return (glance.ledger[source]["accepted"] - before.ledger[source]["accepted"]) / (glance.at - before.at)

    def _verdict(self, glance: Glance) -> list[RenderableType]:
        """Return that all is well, or each problem, whole: what to do about it stands at its end."""
        from rich.text import Text

        if problems := self._problems(glance):
            return [Text(problem, style="red") for problem in problems]
        counts = glance.together
        parts = " + ".join(f"{counts[fate]:,}" for fate in COUNTS[1:] if counts[fate])
        return [Text(f"balanced: {counts['accepted']:,} = {parts}", style="green")]

    def _problems(self, glance: Glance) -> list[str]:
        said = [] if glance.balanced else ["the ledger does not balance: headrace status"]
        said += [glance.problem] if glance.problem else []
        said += [f"{source} fails: {problem}" for source, problem in self._up.progress.failing.items()]
        said += [f"{child.name}: {child.problem}" for child in self._up.children if child.problem]
        # A build that is under way when the shop closes is given up: nothing is wrong with it.
        said += [f"gold: {self._up.gold.problem}"] if self._up.gold.problem and not self._shop.closing else []
        said += [f"the shop cannot send: {self._feed.problem}"] if self._feed.problem else []
        return said

    def _rejected(self, glance: Glance) -> list[RenderableType]:
        from rich.text import Text

        last = glance.rejected
        if last is None:
            return [Text("nothing was refused yet")]
        what = Text.assemble(("last refused  ", "bold"), f"{last['source']}: {last['stage']}/{last['code']}")
        shown = [what, Text(f"  {_reason(last)}", style="red", no_wrap=True, overflow="ellipsis")]
        return [*shown, Text(f"  headrace quarantine show {last['id']}")]

    def _gold(self, glance: Glance) -> list[RenderableType]:
        from rich.table import Table
        from rich.text import Text

        building = ", the next is being built" if self._up.gold.running and not self._shop.closing else ""
        if not glance.days:
            return [Text(f"no gold yet{building}")]
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
        for column in DAY_COLUMNS:
            right = column != DAY_COLUMNS[0]
            table.add_column(HEADS.get(column, column), justify="right" if right else "left", no_wrap=True)
        for day in glance.days:
            table.add_row(*(_cell(day[column]) for column in DAY_COLUMNS))
        return [Text.assemble(("gold  ", "bold"), f"{glance.gold}, {glance.gold_age_secs:,.0f} s old{building}"), table]


def _reason(rejected: dict[str, Any]) -> str:
    value = f": {rejected['value']}" if rejected["value"] and rejected["value"] not in rejected["reason"] else ""
    return f"{rejected['reason']}{value}"


def _cell(value: object) -> str:
    return f"{value:,}" if isinstance(value, int) else str(value)
