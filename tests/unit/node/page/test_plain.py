from __future__ import annotations

import json

from node.page.plain import study_in_brief, study_in_full
from tests.unit.node.page.views import FINDING, LUNG, a_job, a_study


def test_keys_are_the_documented_ones() -> None:
    full = json.loads(json.dumps(study_in_full(a_study())))
    assert list(full) == [
        "study_uid",
        "state",
        "revision",
        "instances",
        "series",
        "modalities",
        "calling_ae",
        "first_arrival_at",
        "last_arrival_at",
        "evidence",
        "incomplete",
        "originals_removed_at",
        "results_removed_at",
        "jobs",
        "deliveries",
        "decisions",
        "events",
        "signals",
        "commitments",
    ]
    assert list(full["jobs"][0]) == [
        "job_id",
        "model",
        "stack",
        "series_uid",
        "state",
        "reason",
        "revision",
        "attempt",
        "findings",
        "measurements",
        "notes",
        "objects",
    ]
    assert list(full["deliveries"][0]) == [
        "delivery_id",
        "job_id",
        "destination",
        "kind",
        "sop_instance_uid",
        "state",
        "attempt",
        "reason",
        "next_at",
        "urgent",
        "proof",
        "proof_reason",
    ]
    assert list(full["decisions"][0]) == [
        "revision",
        "stack",
        "series_uid",
        "description",
        "slices",
        "model",
        "outcome",
        "route",
        "reason",
        "destinations",
    ]
    assert full["events"] == [{"at": "2026-03-04T10:11:12.000+00:00", "kind": "complete", "detail": "quiet for 10 s"}]


def test_values() -> None:
    full = study_in_full(a_study(jobs=(a_job(findings=[FINDING], measurements=[LUNG]),)))
    assert full["state"] == "finished"
    assert full["jobs"][0]["findings"] == [FINDING]
    assert full["jobs"][0]["measurements"] == [LUNG]
    assert full["jobs"][0]["notes"] == []
    assert full["deliveries"][2]["next_at"] == "2026-03-04T10:12:12.000+00:00"
    assert full["decisions"][1]["outcome"] == "not chosen"


def test_brief_leaves_out_what_is_long() -> None:
    assert set(study_in_full(a_study())) - set(study_in_brief(a_study())) == {"commitments", "decisions", "events", "signals"}
