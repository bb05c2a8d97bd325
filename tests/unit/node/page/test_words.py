from __future__ import annotations

from dataclasses import replace

from node.page.words import answer_in_brief, answer_in_words, deliveries_in_words, figures, removed_in_words, why_unread
from node.store.records import Decision, Outcome
from node.store.states import JobState
from tests.unit.node.page.views import AT, FINDING, LUNG, a_job, a_study


def test_what_was_removed_is_said_with_its_date() -> None:
    assert removed_in_words(a_study()) == []
    (said,) = removed_in_words(a_study(originals_removed_at=AT))
    assert said.startswith("received images, 2026-03-04")


def test_published_job_says_what_it_found() -> None:
    job = a_job(findings=[FINDING], measurements=[LUNG], notes=["cut off"])
    assert answer_in_words(job) == ["Pneumonia: present (93 %)", "Right lung: volume 2310 ml", "cut off"]


def test_figures_as_a_table() -> None:
    body = [
        {"name": "Body", "quantity": "area", "value": 57353.2, "unit": "mm2"},
        {"name": "Body", "quantity": "mean", "value": 3.791, "unit": "HU"},
        {"name": "Bone", "quantity": "mean", "value": 378.0, "unit": "HU"},
    ]
    assert figures(body) == (["area, mm2", "mean, HU"], [("Body", ["57353", "3.79"]), ("Bone", ["", "378"])])
    assert figures([]) == ([], [])


def test_answer_in_brief() -> None:
    mean = {"name": "Right lung", "quantity": "mean", "value": -791.0, "unit": "HU"}
    assert (
        answer_in_brief(a_job(findings=[FINDING], measurements=[LUNG, mean])) == "Pneumonia: present (93 %); Right lung 2310 ml"
    )
    assert answer_in_brief(a_job()) == "nothing found"
    assert answer_in_brief(a_job(JobState.REFUSED, reason="a lateral view")) == "a lateral view"


def test_job_without_findings_says_so() -> None:
    assert answer_in_words(a_job()) == ["nothing found"]


def test_other_jobs_give_their_reason() -> None:
    assert answer_in_words(a_job(JobState.REFUSED, reason="a lateral view")) == ["a lateral view"]
    assert answer_in_words(a_job(JobState.RUNNING)) == ["running"]


def test_deliveries_of_a_study() -> None:
    assert deliveries_in_words(a_study()) == "pacs 1 of 2 sent, 1 failed; viewer 0 of 1 sent"
    assert deliveries_in_words(a_study(deliveries=())) == "none"


def test_why_unread_puts_refusals_first() -> None:
    view = a_study()
    assert why_unread(view) == "not chosen: reads CT, this is CR"
    refusal = replace(view.decisions[0], decision=Decision("ct-tissue", Outcome.REFUSED, "no Frame of Reference UID"))
    assert why_unread(replace(view, decisions=(*view.decisions, refusal, refusal))) == "refused: no Frame of Reference UID"
    assert why_unread(replace(view, decisions=())) == "not read: no images"
