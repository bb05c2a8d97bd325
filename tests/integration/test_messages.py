"""Messages reach an HL7 interface and a FHIR server by the courier, also after refusals and faults, and once."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
from hl7apy.parser import parse_message
from pydicom import dcmread

from node.store.destinations import FhirDestination, Hl7Destination
from node.store.endpoint import Endpoint
from node.store.settings import Settings
from node.store.states import DeliveryState
from tests.integration.node_under_test import running_node
from tests.integration.phantom import ct_phantom
from tests.integration.test_delivery import QUICK, delivering, until
from tests.unit.node.delivery.outbox import MemoryOutbox
from tests.unit.node.delivery.test_fhir import serving
from tests.unit.node.delivery.test_mllp import framed, interface, received
from tests.unit.workers.encode.test_fhir import message as fhir_message
from tests.unit.workers.encode.test_hl7 import message as hl7_message


def test_both_are_told_although_they_refused_and_broke_off_at_first(tmp_path: Path) -> None:
    (tmp_path / "a.hl7").write_bytes(hl7_message("hl7.de"))
    (tmp_path / "a.json").write_bytes(fhir_message("fhir.de"))
    heard: list[bytes] = []

    def play(connection: socket.socket) -> None:
        heard.append(received(connection))
        control = heard[-1].split(b"|")[9].decode()
        reply = [framed("AE", control), b"\x0bMSH|", framed("AA", "1"), framed("AA", control)][min(len(heard), 4) - 1]
        connection.sendall(reply)
        connection.close()

    outbox = MemoryOutbox()
    with interface(play) as port, serving() as server:
        server.refusals = [503, 429]
        destinations = (
            Hl7Destination(name="ris", mllp=Endpoint(host="127.0.0.1", port=port)),
            FhirDestination(name="ehr", fhir=server.url),
        )
        numbers = [outbox.put(tmp_path / "a.hl7", "ris", kind="hl7"), outbox.put(tmp_path / "a.json", "ehr", kind="fhir")]
        with delivering(Settings(destinations=destinations, limits=QUICK), outbox):
            assert until(lambda: all(outbox.state(number) is DeliveryState.SENT for number in numbers), 60)
        assert len(server.resources) > 3

    assert len(heard) == 4
    assert len(set(heard)) == 1  # the same message each time, so that a receiver knows it again
    assert "Pneumonie: vorhanden" in "".join(one.to_er7() for one in parse_message(heard[-1].decode("utf-8")).children)
    assert [reason.split(":")[0] for reason in outbox.rows[2].reasons[:2]] == ["HTTP 503", "HTTP 429"]


def test_what_is_refused_for_good_is_not_sent_again(tmp_path: Path) -> None:
    (tmp_path / "a.hl7").write_bytes(hl7_message())

    def play(connection: socket.socket) -> None:
        control = received(connection).split(b"|")[9].decode()
        connection.sendall(framed("AR", control, "\rERR|||203^Unsupported version id^HL70357|E"))
        connection.close()

    outbox = MemoryOutbox()
    with interface(play) as port:
        ris = Hl7Destination(name="ris", mllp=Endpoint(host="127.0.0.1", port=port))
        number = outbox.put(tmp_path / "a.hl7", "ris", kind="hl7")
        with delivering(Settings(destinations=(ris,), limits=QUICK), outbox):
            assert until(lambda: outbox.state(number) is DeliveryState.FAILED, 60)
    assert outbox.rows[number].reasons == ["AR 203: it does not take version 2.5.1"]


@pytest.mark.slow
@pytest.mark.promise
@pytest.mark.timeout(240)
def test_a_study_is_told_in_the_language_of_each_destination(tmp_path: Path) -> None:
    heard: list[bytes] = []

    def play(connection: socket.socket) -> None:
        heard.append(received(connection))
        connection.sendall(framed("AA", heard[-1].split(b"|")[9].decode()))
        connection.close()

    with interface(play) as port, serving() as server:
        tables = f"""language = "fr"
[[destinations]]
name = "ris"
mllp = "127.0.0.1:{port}"
language = "de"
[[destinations]]
name = "ehr"
fhir = "{server.url}"
"""
        with running_node(tmp_path, tables=tables) as node:
            phantom = ct_phantom(tmp_path / "ct")
            assert all(verdict.stored for verdict in node.send(phantom.paths))
            study = node.finished(phantom.study_uid)
            archived = [dcmread(path) for path in node.archive.folder.rglob("*.dcm")]

    sent = {(one["destination"], one["kind"]) for one in study["deliveries"]}
    assert sent == {("archive", "seg"), ("archive", "measurements"), ("archive", "report.fr"), ("ris", "hl7.de"), ("ehr", "fhir")}
    (told,) = heard
    assert "Körper: Volumen" in told.decode("utf-8")
    report = next(one for one in server.resources.values() if one.get_resource_type() == "DiagnosticReport")
    assert "Body: volume" in report.conclusion
    assert report.imagingStudy[0].identifier.value == f"urn:oid:{phantom.study_uid}"
    assert {one.SeriesDescription for one in archived if one.Modality == "SR"} >= {
        "Compte rendu d'IA, non vérifié (Overread ct-tissue)"
    }
