"""A receiving archive: keeps each object as a file and a record of every store, repeated ones too.

Built on pynetdicom's own acceptor and not on our listener, so that what we send is also read by somebody else's code.
"""

from __future__ import annotations

import hashlib
import json
import threading
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

if TYPE_CHECKING:
    from pynetdicom.events import Event

LOG_NAME: Final = "stores.jsonl"


@dataclass(frozen=True, slots=True)
class Store:
    """One C-STORE as it came.

    Parameters
    ----------
    sha256
        Of the data set's bytes, hexadecimal.
    path
        File name in the archive's folder.
    """

    at: str
    sop_class_uid: str
    sop_instance_uid: str
    study_uid: str
    transfer_syntax_uid: str
    sha256: str
    calling_ae: str
    path: str


class Archive:
    """Accepts every standard storage SOP class in every transfer syntax on loopback, until `stop`.

    Parameters
    ----------
    folder
        Where objects (``<SOP Instance UID>.dcm``) and the log ``stores.jsonl`` go.
    port
        0 lets the system choose; see `port`.
    answers
        Statuses for the first stores, in order; after these every store succeeds. A failure status keeps nothing.
    """

    def __init__(self, folder: Path, port: int = 0, ae_title: str = "ARCHIVE", answers: tuple[int, ...] = ()) -> None:
        self.folder = folder
        self.ae_title = ae_title
        self._wanted_port = port
        self._answers = list(answers)
        self._lock = threading.Lock()
        self._server: Any = None
        self._ae: Any = None

    @property
    def log(self) -> Path:
        """One JSON object a line for every successful store."""
        return self.folder / LOG_NAME

    @property
    def port(self) -> int:
        """The port it listens on; known after `start`."""
        return int(self._server.server_address[1])

    def start(self) -> Self:
        from pynetdicom import AE, ALL_TRANSFER_SYNTAXES, evt
        from pynetdicom.presentation import AllStoragePresentationContexts

        self.folder.mkdir(parents=True, exist_ok=True)
        self._ae = AE(self.ae_title)
        self._ae.maximum_pdu_size = 131072
        for context in AllStoragePresentationContexts:
            self._ae.add_supported_context(context.abstract_syntax, ALL_TRANSFER_SYNTAXES)
        self._ae.add_supported_context("1.2.840.10008.1.1")
        self._server = self._ae.start_server(
            ("127.0.0.1", self._wanted_port), block=False, evt_handlers=[(evt.EVT_C_STORE, self._store)]
        )
        return self

    def stop(self) -> None:
        """Stop listening and end what is open."""
        if self._ae is not None:
            self._ae.shutdown()
            self._ae = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stores(self) -> list[Store]:
        """Every successful store so far, in order; also what an earlier archive in this folder logged."""
        if not self.log.exists():
            return []
        return [Store(**json.loads(line)) for line in self.log.read_text(encoding="utf-8").splitlines()]

    def _store(self, event: Event) -> int:
        with self._lock:
            answer = self._answers.pop(0) if self._answers else 0
            if answer and answer & 0xF000 != 0xB000:
                return answer
            request: Any = event.request
            data_set = request.DataSet.getvalue()
            head = event.file_meta
            sop_instance_uid = str(request.AffectedSOPInstanceUID)
            path = self.folder / f"{sop_instance_uid}.dcm"
            path.write_bytes(event.encoded_dataset())
            store = Store(
                at=datetime.now(UTC).isoformat(),
                sop_class_uid=str(request.AffectedSOPClassUID),
                sop_instance_uid=sop_instance_uid,
                study_uid=str(event.dataset.get("StudyInstanceUID", "")),
                transfer_syntax_uid=str(head.TransferSyntaxUID),
                sha256=hashlib.sha256(data_set).hexdigest(),
                calling_ae=str(event.assoc.requestor.ae_title).strip(),
                path=path.name,
            )
            with self.log.open("a", encoding="utf-8") as log:
                log.write(json.dumps(asdict(store)) + "\n")
            return answer
