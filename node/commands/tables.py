"""Studies, destinations and events as tables in the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from rich import box
from rich.console import Console, Group, RenderableType
from rich.markup import escape
from rich.table import Table

from node.page.standing import Circuit, Standing
from node.page.words import answer_in_brief, answer_in_words, commitment_in_words, deliveries_in_words, removed_in_words
from node.store.events import NodeEvent
from node.store.records import QueueView, StudyView
from node.store.states import JobState, StudyState

COLOURS = {
    "receiving": "yellow",
    "reading": "yellow",
    "running": "yellow",
    "sending": "yellow",
    "due": "yellow",
    "finished": "green",
    "published": "green",
    "sent": "green",
    "chosen": "green",
    "failed": "red",
    "held": "red",
    "closed": "green",
    "half-open": "yellow",
    "open": "red",
    "not configured": "red",
}


def show_studies(found: Sequence[StudyView], unread: Mapping[str, str], console: Console | None = None) -> None:
    """Print a table of studies; `unread` says of some, by UID, why no model read them."""
    console = console or Console()
    if not found:
        console.print("No study has arrived yet.")
        return
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("Study", overflow="fold", ratio=4)
    table.add_column("State", no_wrap=True)
    table.add_column("Answers", overflow="fold", ratio=4)
    table.add_column("Delivered", overflow="fold", ratio=2)
    for view in found:
        images = f"{view.instances} image{'' if view.instances == 1 else 's'}, {', '.join(view.modalities)}"
        table.add_row(
            f"{view.study_uid}\n[dim]{moment(view.last_arrival_at)}, {escape(images)} from {escape(view.calling_ae)}[/]",
            coloured(view.state),
            "\n".join(_answers(view)) or f"[dim]{escape(unread.get(view.study_uid, ''))}[/]",
            escape(deliveries_in_words(view)) if view.deliveries else "",
        )
    console.print(table)


def show_study(view: StudyView, console: Console | None = None) -> None:
    """Print all that is known of one study."""
    console = console or Console()
    facts = Table.grid(padding=(0, 2))
    for name, value in (
        ("Study", view.study_uid),
        ("State", coloured(view.state) + f", revision {view.revision}"),
        (
            "Images",
            f"{view.instances} in {view.series} series, {escape(', '.join(view.modalities))}, from {escape(view.calling_ae)}",
        ),
        ("Arrived", f"{moment(view.first_arrival_at)} to {moment(view.last_arrival_at)}"),
        ("Complete because", _completeness(view)),
        *(("Removed", words) for words in removed_in_words(view)),
    ):
        facts.add_row(f"[dim]{name}[/]", value)
    console.print(Group(facts, *_parts(view)))


def show_destinations(found: Sequence[Standing], console: Console | None = None) -> None:
    """Print how it stands with each destination."""
    console = console or Console()
    if not found:
        console.print("No destination is configured: results are made and kept, and sent nowhere.")
        return
    table = _table("Destination", "Circuit", "Queue", "Proof")
    for one in found:
        table.add_row(
            f"{escape(one.name)}\n[dim]{escape(one.address)}[/]".rstrip(),
            "\n".join([coloured(one.circuit), *_down(one)]),
            "\n".join(_queue(one.queue)),
            "\n".join(_proof(one.queue)),
        )
    console.print(table)
    if any(one.queue.failed or one.queue.held or one.queue.unproven for one in found):
        console.print("[dim]`overread studies` says of which studies, `overread study UID` why[/]")


def show_events(found: Sequence[NodeEvent], console: Console | None = None, *, more: str = "") -> None:
    """Print events of no study; `more` says where there are more of them."""
    console = console or Console()
    if not found:
        console.print("Nothing happened that concerns no study.")
        return
    table = _table("Last at", "Times", "Event", "Detail", title="Events of the node")
    for event in found:
        table.add_row(moment(event.last_at), str(event.count), escape(event.kind), escape(event.detail))
    console.print(table)
    if more:
        console.print(f"[dim]{escape(more)}[/]")


def _down(one: Standing) -> list[str]:
    if one.broken is None:
        return []
    again = "again" if one.circuit is Circuit.OPEN else "due"
    return [f"since {moment(one.broken.since)}, {again} at {moment(one.broken.next_at)}", f"[dim]{escape(one.broken.reason)}[/]"]


def _queue(queue: QueueView) -> list[str]:
    waiting = f"{queue.waiting} waiting, since {moment(queue.oldest_at)}" if queue.oldest_at else "nothing waits"
    looked_at = (("failed", queue.failed), ("held", queue.held))
    return [waiting, *(f"{count} {coloured(state)}" for state, count in looked_at if count)]


def _proof(queue: QueueView) -> list[str]:
    return [
        *([f"{queue.unproven_yet} not proven yet"] if queue.unproven_yet else []),
        *([f"[red]{queue.unproven} not proven[/]"] if queue.unproven else []),
    ]


def _parts(view: StudyView) -> list[RenderableType]:
    jobs = _table("Model", "Stack", "State", "Try", "Answer", title="Jobs")
    for job in view.jobs:
        jobs.add_row(job.model, job.stack, coloured(job.state), str(job.attempt), escape("\n".join(answer_in_words(job))))
    decisions = _table("Stack", "Model", "Decision", "Reason", "Route", title="Decisions")
    for one in view.decisions:
        stack = f"{escape(one.description or one.stack)}\n[dim]{one.slices} images, revision {one.revision}[/]"
        decision = one.decision
        decisions.add_row(
            stack, decision.model or "any", coloured(decision.outcome), escape(decision.reason), escape(decision.route)
        )
    deliveries = _table("Destination", "Object", "State", "Try", "Last answer", title="Deliveries")
    for sent in view.deliveries:
        again = f"\n[dim]again at {moment(sent.next_at)}[/]" if sent.next_at and sent.state == "due" else ""
        deliveries.add_row(
            sent.destination,
            sent.kind,
            "\n".join((coloured(sent.state), *(["urgent"] if sent.urgent else []), *([sent.proof] if sent.proof else []))),
            str(sent.attempt),
            escape(sent.proof_reason or sent.reason or ("stored" if sent.state == "sent" else "")) + again,
        )
    said = _table("At", "Signal", "Of", "Status", "Instances named", "Here", title="Signals")
    for signal in view.signals:
        who = (moment(signal.at), str(signal.kind), escape(signal.source), escape(signal.status))
        said.add_row(*who, str(signal.named), str(signal.arrived))
    asked = _table("Asked at", "By", "Instances", "State", "Decision", "Why it waits", title="Storage commitment")
    for request in view.commitments:
        decided = (coloured(request.state), escape(commitment_in_words(request)), escape(request.reason))
        asked.add_row(moment(request.at), escape(request.requestor), str(request.named), *decided)
    events = _table("At", "Event", "Detail", title="Events")
    for at, kind, detail in view.events:
        events.add_row(moment(at), escape(kind), escape(detail))
    return [table for table in (jobs, decisions, deliveries, said, asked, events) if table.row_count]


def _completeness(view: StudyView) -> str:
    if view.state is StudyState.RECEIVING:
        return f"[dim]not complete yet[/] {escape(view.evidence)}".strip()
    return (
        f"[red]incomplete[/] {escape(view.evidence.removeprefix('incomplete, '))}" if view.incomplete else escape(view.evidence)
    )


def _answers(view: StudyView) -> list[str]:
    return [f"[bold]{job.model}[/] {escape(answer_in_brief(job))}" for job in view.jobs if job.state is not JobState.SUPERSEDED]


def coloured(state: str) -> str:
    """A state or decision with its colour, as rich markup."""
    colour = COLOURS.get(state)
    return f"[{colour}]{state}[/]" if colour else str(state)


def moment(at: datetime) -> str:
    """A date and time in the local zone."""
    return at.astimezone().strftime("%Y-%m-%d %H:%M:%S")


def _table(*columns: str, title: str | None = None) -> Table:
    table = Table(box=box.SIMPLE_HEAD, title=title, title_justify="left", title_style="bold", pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    return table
