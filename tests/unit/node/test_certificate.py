from __future__ import annotations

import contextlib
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme
from cryptography import x509
from hypothesis import given
from hypothesis import strategies as st

from node.certificate import _elements, encoded, validity
from node.store.errors import ConfigurationError
from tests.certificates import Authority

MOMENTS = [
    (datetime(1999, 12, 31, 23, 59, 59, tzinfo=UTC), datetime(2049, 12, 31, 23, 59, 59, tzinfo=UTC)),
    (datetime(2026, 2, 3, 4, 5, 6, tzinfo=UTC), datetime(2050, 1, 1, tzinfo=UTC)),
    (datetime(2026, 2, 3, 4, 5, 6, tzinfo=UTC), datetime(2150, 1, 2, 3, 4, 5, tzinfo=UTC)),
]


@pytest.mark.parametrize(("first", "last"), MOMENTS, ids=["two digits of the year", "up to 2050", "beyond"])
@pytest.mark.parametrize("kind", list(trustme.KeyType))
def test_says_what_another_reader_says(tmp_path: Path, first: datetime, last: datetime, kind: trustme.KeyType) -> None:
    issued = trustme.CA().issue_cert("node.example", not_before=first, not_after=last, key_type=kind)
    path = tmp_path / "node.pem"
    path.write_bytes(b"a remark before it\n" + b"".join(pem.bytes() for pem in issued.cert_chain_pems))
    other = x509.load_pem_x509_certificate(issued.cert_chain_pems[0].bytes())
    assert validity(path) == (other.not_valid_before_utc, other.not_valid_after_utc) == (first, last)


def test_the_first_of_a_chain_counts(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    own = authority.issue("node.example", valid_days=9)
    chain = tmp_path / "chain.pem"
    chain.write_bytes(own.certificate.read_bytes() + authority.ca.read_bytes())
    assert encoded(chain) == encoded(own.certificate)
    assert abs(validity(chain)[1] - datetime.now(UTC) - timedelta(days=9)) < timedelta(minutes=5)


@pytest.mark.parametrize("content", ["", "Dear colleague", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"])
def test_what_is_none_is_named(tmp_path: Path, content: str) -> None:
    path = tmp_path / "none.pem"
    path.write_text(content)
    with pytest.raises(ConfigurationError, match=r"none\.pem"):
        validity(path)
    with pytest.raises(ConfigurationError, match="cannot be read"):
        validity(tmp_path / "absent.pem")


@given(st.binary(max_size=60))
def test_whatever_the_bytes_only_a_value_error_comes(content: bytes) -> None:
    with contextlib.suppress(ValueError, IndexError):
        assert sum(len(value) for _, value in _elements(content)) <= len(content)
