from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from node.store.log import redact


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Invalid value 'Yamada^Tarou' for PN", "Invalid value '[redacted]' for PN"),
        ('Invalid value "Yamada^Tarou" for PN', "Invalid value '[redacted]' for PN"),
        ("unknown UID '1.2.840.10008.1.2'", "unknown UID '1.2.840.10008.1.2'"),
        ("tag '0010,0030' of VR 'DA' holds '19450101'", "tag '0010,0030' of VR 'DA' holds '[redacted]'"),
        ("patient '0815', also '12.5', surname 'LI'", "patient '[redacted]', also '[redacted]', surname '[redacted]'"),
        (f"names {chr(39)}O\\'Hara \"Tim\"'", "names '[redacted]'"),
        ("can't decode 'Yamada^Tarou', isn't text", "can't decode '[redacted]', isn't text"),
        ("bad value 'Yamada\\' for PN", "bad value '[redacted]'"),
        ("no quotes at all", "no quotes at all"),
        ("'a' and 'b'", "'[redacted]' and '[redacted]'"),
    ],
)
def test_quoted_values_go_but_for_uids_tags_and_representations(text: str, expected: str) -> None:
    assert redact(text) == expected


@example("\x80\\")
@given(st.text(alphabet=st.characters(exclude_characters="'\""), min_size=1).filter(lambda text: not text.isascii()))
def test_no_quoted_text_that_is_not_ascii_stays(name: str) -> None:
    assert name not in redact(f"bad value '{name}'").replace("[redacted]", "")


def run(code: str) -> str:
    """Logging is set up for a whole process, so in one of its own."""
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stderr


def test_events_are_lines_of_json_where_asked_for_without_patient_data() -> None:
    said = run(
        "from node.store.log import configure_logging, get_logger; configure_logging(as_json=True);"
        "get_logger('x').info('stored', study_uid='1.2', patient_name='Yamada', accession_number='A1')"
    )
    event = json.loads(said)
    assert (event["event"], event["study_uid"], event["module"]) == ("stored", "1.2", "x")
    assert event["patient_name"] == event["accession_number"] == "[redacted]"


def test_libraries_log_through_redaction() -> None:
    said = run(
        "from node.store.log import configure_logging; configure_logging();\n"
        "import logging, warnings\n"
        "logging.getLogger('pydicom').warning('bad value %r', 'Yamada^Tarou')\n"
        "warnings.warn(\"value 'Suzuki' is too long\")"
    )
    assert "Yamada" not in said
    assert said.count("[redacted]") >= 2
    assert "value 'Suzuki' is too long" not in said


def test_tracebacks_of_libraries_are_told_without_their_messages() -> None:
    said = run(
        "from node.store.log import configure_logging; configure_logging();\n"
        "import logging\n"
        "try:\n    int('Yamada^Tarou')\n"
        "except ValueError:\n    logging.getLogger('uvicorn.error').exception('in the application')"
    )
    assert "in the application (ValueError" in said
    assert "Yamada" not in said


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_log_that_takes_nothing_ends_nothing() -> None:
    code = (
        "from node.store.log import configure_logging, get_logger; configure_logging();\n"
        "import logging\n"
        "get_logger('x').warning('connection refused')\n"
        "logging.getLogger('pydicom').warning('odd')\n"
        "print('goes on', flush=True)"
    )
    with Path("/dev/full").open("w") as full:
        went = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=full, text=True, check=False)
    assert went.stdout == "goes on\n"
