"""Structured events for the person on call, with patient data kept out of them."""

from __future__ import annotations

import contextlib
import logging
import re
import sys
from collections.abc import Mapping, MutableMapping
from typing import Any, Final, TextIO

import structlog

from node.store.faults import tell

_REPRESENTATIONS: Final = "AE|AS|AT|CS|DA|DS|DT|FD|FL|IS|LO|LT|OB|OD|OF|OL|OV|OW|PN|SH|SL|SQ|SS|ST|SV|TM|UC|UI|UL|UN|UR|US|UT|UV"
ALLOWED_QUOTES: Final = re.compile(rf"^(?:[012](?:\.[0-9]+){{2,}}|[0-9A-Fa-f]{{4}},[0-9A-Fa-f]{{4}}|{_REPRESENTATIONS})$")
"""Quoted texts of a library's message that may stay: UIDs, tags, value representations. Bare digits go: dates of birth and most
patient IDs are such."""

_OPENS: Final = r"(?!(?<=\w)'(?:t|s|re|ve|ll|d|m)\b)"
"""The apostrophe of "can't" opens nothing."""
_QUOTED: Final = re.compile(
    rf"{_OPENS}(?:'((?:[^'\\]|\\.)*)'|\"((?:[^\"\\]|\\.)*)\"|['\"].*\Z)",
    re.DOTALL,
)
"""As `repr` writes texts: a quote within is escaped. What is opened and never closed goes up to the end."""

PATIENT_KEYS: Final = frozenset(
    {"patient_name", "patient_id", "patient_birth_date", "accession_number", "patient_comments", "name", "birth_date"}
)
"""Keys whose values never reach a log."""


def redact(text: str) -> str:
    """Return a library's message without the attribute values that it quotes.

    pydicom and pynetdicom quote values in warnings; whatever stands in quotes and is not a UID, tag or value representation goes.
    """
    return _QUOTED.sub(lambda match: match[0] if ALLOWED_QUOTES.fullmatch(match[1] or match[2] or "") else "'[redacted]'", text)


def _redact_event(_logger: object, _method: str, event: MutableMapping[str, Any]) -> Mapping[str, Any]:
    for key in event.keys() & PATIENT_KEYS:
        event[key] = "[redacted]"
    return event


class _Unfailing:
    """A stream whose writes never raise: no association ends because the disk under the log is full, or its reader is gone."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> None:
        with contextlib.suppress(OSError, ValueError):  # ValueError: it is closed
            self._stream.write(text)

    def flush(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            self._stream.flush()


class _RedactLibraries(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = redact(record.getMessage()), ()
        if record.exc_info and record.exc_info[1] is not None:  # a traceback ends with the library's message, as it is
            record.msg += f" ({tell(record.exc_info[1])})"
        record.exc_info = record.exc_text = record.stack_info = None
        return True


def configure_logging(level: str = "INFO", *, as_json: bool = False) -> None:
    """Set up structlog and the libraries' loggers for this process; events go to standard error, or nowhere if it takes none."""
    stream: Any = _Unfailing(sys.stderr)
    renderer: Any = structlog.processors.JSONRenderer() if as_json else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _redact_event,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level]),
        logger_factory=structlog.WriteLoggerFactory(file=stream),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(stream)
    handler.addFilter(_RedactLibraries())
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s %(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.captureWarnings(True)


def get_logger(name: str) -> structlog.stdlib.BoundLogger:
    """A logger whose calls take an event and key-values: ``log.info("study complete", study_uid=…)``."""
    logger: structlog.stdlib.BoundLogger = structlog.get_logger(module=name)
    return logger
