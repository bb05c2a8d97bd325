"""The demonstration in the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

from node.demo.cases import Case, Study
from node.demo.play import Played
from node.store.summary import finding_in_words, measurements_in_words


class Bars:
    """A progress bar for each study, and one for what is fetched or started.

    Parameters
    ----------
    console
        Where they are drawn.
    """

    def __init__(self, console: Console) -> None:
        columns = (
            SpinnerColumn(finished_text="·"),
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[now]}"),
            TimeElapsedColumn(),
        )
        self.progress = Progress(*columns, console=console)
        self._tasks: dict[str, TaskID] = {}

    def say(self, title: str, now: str, share: float) -> None:
        """Show what happens to `title` now; `share` of it, 0 to 1, is done."""
        if title not in self._tasks:
            self._tasks[title] = self.progress.add_task(escape(title), total=1.0, now="")
        self.progress.update(self._tasks[title], completed=share, now=now)

    def tell(self, case: Case, now: str, share: float) -> None:
        self.say(case.title, now, share)


def show_results(played: Sequence[Played], out: Path, console: Console) -> None:
    """Print the table of study, model, and findings, volumes or the reason of a refusal."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_lines=False)
    table.add_column("Study", overflow="fold", ratio=2)
    table.add_column("Model", overflow="fold")
    table.add_column("Answer", overflow="fold", ratio=4)
    table.add_column("Outcome", overflow="fold", ratio=2)
    for one in played:
        outcome = f"[green]{escape(one.case.outcome)}[/]" if not one.faults else "[red]" + escape("\n".join(one.faults)) + "[/]"
        for number, (model, answer) in enumerate(answers(one)):
            first = number == 0
            table.add_row(escape(one.case.title) if first else "", model, escape(answer), outcome if first else "")
        table.add_section()
    console.print(table)
    kept = sum(len(one.files) for one in played)
    console.print(escape(f"{kept} result files in {out}, a folder a study; {out / 'serve.log'} is the node's log"))


def show_pictures(page: Path, overview: Path, console: Console) -> None:
    """Say where the pictures are, and how they are looked at."""
    console.print(escape("What a radiologist would see, made from what came back (open it in a browser):"))
    console.print(escape(f"  {page.resolve().as_uri()}"), soft_wrap=True)
    console.print(escape(f"  {overview} has it in one picture"), soft_wrap=True)


def answers(played: Played) -> list[tuple[str, str]]:
    """``(model, what it said)`` of every model that read the study; or, where none did, why."""
    said = [(job["model"], _answer(job)) for job in played.study["jobs"] if job["state"] == "published"]
    said += [
        (job["model"], f"{job['state']}: {job['reason']}")
        for job in played.study["jobs"]
        if job["state"] in {"refused", "failed"}
    ]
    if not said:
        said = [(one["model"] or "any", f"{one['outcome']}: {one['reason']}") for one in _unread(played.study)]
    return said or [("none", "nothing was said")]


def _unread(study: Study) -> list[dict[str, Any]]:
    """Decisions of a study that nobody read: the refusals, or where there are none, why no model was meant for it."""
    refused = [one for one in study["decisions"] if one["outcome"] == "refused"]
    return refused or study["decisions"]


def _answer(job: dict[str, Any]) -> str:
    lines = [finding_in_words(one) for one in job["findings"]]
    lines += measurements_in_words(job["measurements"])
    lines += [str(note) for note in job["notes"]]
    return "\n".join(lines) or "nothing found"
