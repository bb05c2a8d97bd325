from __future__ import annotations

import ipaddress

import pytest
from pydantic import ValidationError

from node.store.endpoint import Endpoint
from node.store.sources import Address, Caller, Source, Unlisted, address_of, find_source, first_said, title_fits

NAMES = {"ct.hospital": frozenset({ipaddress.ip_address("10.0.0.7")})}


def resolve(name: str) -> frozenset[Address]:
    return NAMES.get(name, frozenset())


def unasked(name: str) -> frozenset[Address]:
    raise AssertionError(f"{name} was looked up")


CT = Source(ae_title="CT_*", hosts=("10.1.0.0/16", "ct.hospital"), called_ae=("OVERREAD", "AI_?"))


@pytest.mark.parametrize(
    ("calling", "called", "host", "objection"),
    [
        ("CT_1", "OVERREAD", "10.1.2.3", None),
        ("CT_1", "AI_2", "10.0.0.7", None),
        ("CT_1", "OVERREAD", "::ffff:10.1.2.3", None),
        ("ct_1", "OVERREAD", "10.1.2.3", Unlisted.CALLING_AE),
        ("CT_1", "OVERREAD", "10.2.2.3", Unlisted.HOST),
        ("CT_1", "OVERREAD", "", Unlisted.HOST),
        ("CT_1", "ANY", "10.1.2.3", Unlisted.CALLED_AE),
    ],
)
def test_what_does_not_fit_is_named(calling: str, called: str, host: str, objection: Unlisted | None) -> None:
    assert CT.objection(Caller(calling, called, host), resolve) is objection


def test_names_are_looked_up_only_where_no_address_fits() -> None:
    assert CT.objection(Caller("CT_1", "OVERREAD", "10.1.0.1"), unasked) is None
    assert Source(ae_title="*").objection(Caller("X", "Y", "10.1.0.1"), unasked) is None


def test_the_first_source_that_fits_counts() -> None:
    narrow, wide = Source(ae_title="CT_1", hosts=("10.0.0.1",)), Source(ae_title="CT_*")
    assert find_source((narrow, wide), Caller("CT_1", "A", "10.0.0.1"), resolve) is narrow
    assert find_source((narrow, wide), Caller("CT_1", "A", "10.0.0.2"), resolve) is wide
    assert find_source((narrow,), Caller("CT_1", "A", "10.0.0.2"), resolve) == (Unlisted.HOST, (narrow,))
    assert find_source((narrow,), Caller("MR", "A", "10.0.0.1"), resolve) == (Unlisted.CALLING_AE, ())
    assert find_source((), Caller("MR", "A", "10.0.0.1"), resolve) == (Unlisted.CALLING_AE, ())


@pytest.mark.parametrize(
    "values",
    [
        {"ae_title": "SEVENTEEN LETTERS"},
        {"ae_title": ""},
        {"ae_title": "A", "called_ae": ("back\\slash",)},
        {"ae_title": "A", "hosts": ("10.0.0.300",)},
        {"ae_title": "A", "hosts": ("10.0.0.0/40",)},
        {"ae_title": "A", "hosts": ("a host",)},
        {"ae_title": "A", "associations": 0},
        {"ae_title": "A", "quiet_s": 0},
    ],
)
def test_what_cannot_be_meant_is_refused(values: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Source.model_validate(values)


@pytest.mark.parametrize("host", ["10.0.0.5", "10.0.0.5/24", "fd00::/8", "ct-1.hospital.example", "scanner_7"])
def test_hosts_are_addresses_networks_and_names(host: str) -> None:
    assert Source(ae_title="A", hosts=(host,)).hosts == (host,)


def test_only_asterisk_and_question_mark_are_wildcards() -> None:
    assert title_fits("A[1]*", "A[1]X")
    assert not title_fits("A[1]", "A1")
    assert title_fits("?T", "CT")


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("10.0.0.1", "10.0.0.1"),
        ("::ffff:10.0.0.1", "10.0.0.1"),
        ("fe80::1%eth0", "fe80::1"),
    ],
)
def test_addresses_count_without_what_the_system_adds(text: str, address: str) -> None:
    assert address_of(text) == ipaddress.ip_address(address)


def test_quiet_periods_follow_the_first_title_that_fits() -> None:
    sources = (
        Source(ae_title="CT_1", quiet_s=5),
        Source(ae_title="CT_1", quiet_s=7),
        Source(ae_title="MR"),
        Source(ae_title="CT_*", quiet_s=60),
    )
    said = [first_said(sources, title, lambda source: source.quiet_s) for title in ("CT_1", "CT_2", "MR")]
    assert said == [5, 60, None]


@pytest.mark.parametrize(
    ("shown", "objection"),
    [
        ({"ct-1.hospital.example"}, None),
        ({"other.example", "ct-7.hospital.example"}, None),
        ({"mr-1.hospital.example"}, Unlisted.CERTIFICATE),
        (set(), Unlisted.CERTIFICATE),
    ],
)
def test_a_source_may_be_bound_to_its_certificate(shown: set[str], objection: Unlisted | None) -> None:
    source = Source(ae_title="CT_1", certificate="ct-?.hospital.example")
    assert source.objection(Caller("CT_1", "X", "10.0.0.1", certificate_names=frozenset(shown)), resolve) is objection


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("10.0.0.7:104", Endpoint(host="10.0.0.7", port=104)),
        ("[fd00::7]:104", Endpoint(host="fd00::7", port=104)),
        ({"host": "ct", "port": 2762, "tls": True}, Endpoint(host="ct", port=2762, tls=True)),
    ],
)
def test_where_reports_go_is_said_in_short_or_in_full(said: object, meant: Endpoint) -> None:
    source = Source.model_validate({"ae_title": "CT_1", "report_to": said})
    assert source.report_to == meant
    assert Source.model_validate_json(source.model_dump_json()) == source, "as a child process reads it"


@pytest.mark.parametrize("said", ["10.0.0.7", "CT_1@10.0.0.7:104", "10.0.0.7:99999", {"host": "ct", "port": 1, "ca": "ca.pem"}])
def test_where_reports_cannot_go(said: object) -> None:
    with pytest.raises(ValidationError):
        Source.model_validate({"ae_title": "CT_1", "report_to": said})
