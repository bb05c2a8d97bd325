"""What travels over the queue: catalog ids, never pixels, never patient data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from node.store.errors import Permanent

ANALYSE: Final = "overread.analyse"
"""Name of the one Celery task; both sides know the task by name only."""

VERSION: Final = 1


class DecodeError(Permanent):
    """A message that this version does not understand."""


@dataclass(frozen=True, slots=True)
class AnalyseMessage:
    """Wake a worker for one job.

    Parameters
    ----------
    job_id
        Row of the catalog's jobs. The worker reads everything else there.
    """

    job_id: int

    def encode(self) -> dict[str, int]:
        return {"version": VERSION, "job_id": self.job_id}

    @classmethod
    def decode(cls, message: object) -> AnalyseMessage:
        """Read what `encode` wrote.

        Raises
        ------
        DecodeError
            For another version, missing or additional keys, or an id that is no positive integer.
        """
        if not isinstance(message, dict) or set(message) != {"version", "job_id"}:
            raise DecodeError("a queue message must hold exactly version and job_id")
        if message["version"] != VERSION:
            raise DecodeError(f"queue message of version {message['version']!r}, this worker reads {VERSION}")
        job_id = message["job_id"]
        if not isinstance(job_id, int) or isinstance(job_id, bool) or job_id < 1:
            raise DecodeError("job_id must be a positive integer")
        return cls(job_id)
