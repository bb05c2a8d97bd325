"""A data folder of an earlier version is read on: its studies, answers and deliveries are those of before."""

from __future__ import annotations

import sqlite3
import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config

from node.retention.keeper import Keeper
from node.store.catalog.catalog import open_catalog
from node.store.catalog.engine import Database, sqlite_url
from node.store.catalog.migrate import MIGRATIONS
from node.store.catalog.tables import SCHEMA
from node.store.clock import FakeClock
from node.store.records import Arrival
from node.store.settings import Retention, Settings
from node.store.states import StudyState
from tests.story import Story

PLAIN = "1.2.840.10008.1.2.1"
AT = "2026-03-04 10:00:00.000000"
ROWS = f"""
INSERT INTO installation VALUES (1, '6a1f8d0e-58a5-4a1c-9c3c-5b9b1d1f3c11');
INSERT INTO associations VALUES ('a1', 'l1', 'CT_1', 'OVERREAD', '10.0.0.9', '{AT}', '{AT}', 'released');
INSERT INTO studies (id, uid, state, revision, calling_ae, first_arrival_at, last_arrival_at, arrivals, evidence) VALUES
  (1, '1.2.3', 'finished', 1, 'CT_1', '{AT}', '{AT}', 2, 'no new image for 10 s from CT_1'),
  (2, '1.2.9', 'receiving', 0, 'CT_1', '{AT}', '{AT}', 1, '');
INSERT INTO instances (id, study_id, series_uid, sop_instance_uid, sop_class_uid, transfer_syntax_uid, modality, path, version,
                       size_bytes, calling_ae, called_ae, received_at, own_result, association_id) VALUES
  (1, 1, '1.2.3.4', '1.2.3.4.1', '1.2.840.10008.5.1.4.1.1.2', '{PLAIN}', 'CT', 'in/1.2.3/1.2.3.4/1.2.3.4.1.dcm', 1, 9, 'CT_1', 'OVERREAD', '{AT}', 0, 'a1'),
  (2, 1, '1.2.3.4', '1.2.3.4.2', '1.2.840.10008.5.1.4.1.1.2', '{PLAIN}', 'CT', 'in/1.2.3/1.2.3.4/1.2.3.4.2.dcm', 1, 9, 'CT_1', 'OVERREAD', '{AT}', 0, 'a1'),
  (3, 2, '1.2.9.4', '1.2.9.4.1', '1.2.840.10008.5.1.4.1.1.2', '{PLAIN}', 'CT', 'in/1.2.9/1.2.9.4/1.2.9.4.1.dcm', 1, 9, 'CT_1', 'OVERREAD', '{AT}', 0, 'a1');
INSERT INTO revisions (id, study_id, number, opened_at, evidence) VALUES (1, 1, 1, '{AT}', 'no new image for 10 s from CT_1');
INSERT INTO stacks (id, revision_id, position, key, series_uid, description, digest, slices, facts) VALUES
  (1, 1, 0, '1.2.3.4#1', '1.2.3.4', 'CT, axial, 2 images', 'd', 2, '{{"modality": "CT"}}');
INSERT INTO stack_instances VALUES (1, 0, 1), (1, 1, 2);
INSERT INTO jobs (id, study_id, stack_id, stack_key, series_uid, digest, model, fingerprint, revision, run, state, reason, code, priority,
                  attempt, deaths, fence, created_at, due_at, ended_at, summary) VALUES
  (1, 1, 1, '1.2.3.4#1', '1.2.3.4', 'd', 'ct-tissue', 'f', 1, 1, 'published', '', '', 0, 1, 0, 1, '{AT}', '{AT}', '{AT}', '{{"notes": []}}');
INSERT INTO decisions (id, stack_id, model, outcome, reason, route, fingerprint, destinations, job_id) VALUES
  (1, 1, 'ct-tissue', 'chosen', 'reads CT', 'default', 'f', '["pacs"]', 1);
INSERT INTO result_objects (id, job_id, kind, sop_class_uid, sop_instance_uid, series_uid, transfer_syntax_uid, path, sha256, size_bytes)
  VALUES (1, 1, 'seg', '1.2.840.10008.5.1.4.1.1.66.4', '2.25.1', '2.25.9', '{PLAIN}', 'results/1.2.3/1.1/seg.dcm', 'ab', 7);
INSERT INTO deliveries (id, study_id, job_id, object_id, destination, state, attempt, fence, reason, status, created_at, due_at, ended_at)
  VALUES (1, 1, 1, 1, 'pacs', 'sent', 1, 1, '', 0, '{AT}', '{AT}', '{AT}');
INSERT INTO events (id, at, study_uid, kind, detail) VALUES (1, '{AT}', '1.2.3', 'delivered', 'seg to pacs');
"""


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """A data folder as the first version left it: its schema and rows, and its files."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.set_main_option("path_separator", "os")
    database = Database(sqlite_url(tmp_path))
    with database.write() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
    database.close()
    with sqlite3.connect(tmp_path / "catalog.sqlite") as raw:
        raw.executescript(ROWS)
        for (path,) in raw.execute("SELECT path FROM instances UNION SELECT path FROM result_objects").fetchall():
            (tmp_path / "spool" / path).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / "spool" / path).write_bytes(b"something")
    return Settings(data=tmp_path, retention=Retention(originals_days=30))


def test_what_was_known_is_known(settings: Settings) -> None:
    catalog = open_catalog(settings, FakeClock(datetime(2026, 3, 5, tzinfo=UTC)))
    try:
        view = catalog.views.study("1.2.3")
        assert view is not None
        assert (view.state, view.revision, view.instances) == (StudyState.FINISHED, 1, 2)
        assert [(job.model, job.state, [made.sop_instance_uid for made in job.objects]) for job in view.jobs] == [
            ("ct-tissue", "published", ["2.25.1"])
        ]
        assert [(one.destination, one.state) for one in view.deliveries] == [("pacs", "sent")]
        assert [event[1:] for event in view.events] == [("delivered", "seg to pacs")]
        assert view.originals_removed_at is None
        assert catalog.installation == "6a1f8d0e-58a5-4a1c-9c3c-5b9b1d1f3c11", "UIDs go on as they were"
    finally:
        catalog.close()
    with sqlite3.connect(settings.data / "catalog.sqlite") as raw:
        assert raw.execute("SELECT version_num FROM alembic_version").fetchone() == (SCHEMA,)
        assert raw.execute("PRAGMA foreign_key_check").fetchall() == []


def test_what_was_begun_goes_on(settings: Settings) -> None:
    clock = FakeClock(datetime(2026, 3, 5, tzinfo=UTC))
    catalog = open_catalog(settings, clock)
    try:
        (due,) = Story(catalog, clock).complete()
        assert due.study_uid == "1.2.9"
        assert [one.arrival.sop_instance_uid for one in catalog.worklist.instances(due.study_id)] == ["1.2.9.4.1"]
        again = Arrival(
            *("1.2.3", "1.2.3.4", "1.2.3.4.2", "1.2.840.10008.5.1.4.1.1.2", PLAIN, "CT", "in/1.2.3/1.2.3.4/1.2.3.4.2.dcm"),
            *(1, 9, "CT_1", "OVERREAD", clock.now(), False),
        )
        catalog.intake.arrived([again])
        view = catalog.views.study("1.2.3")
        assert view is not None
        assert view.state == StudyState.FINISHED, "an instance of before is no news"
        clock.advance(40 * 86400)
        assert Keeper(settings, catalog, clock).sweep(threading.Event()) == 1
        assert not list((settings.spool / "in/1.2.3").rglob("*.dcm"))
        assert list((settings.spool / "in/1.2.9").rglob("*.dcm")), "what was not read yet stays"
    finally:
        catalog.close()
