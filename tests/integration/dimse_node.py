"""The node's DIMSE side for a test: listener with its services and the registrar, over a catalog of their own, in this process."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydicom import dcmwrite
from pydicom.dataset import Dataset, FileMetaDataset

from node.commitment.registrar import Registrar
from node.listener.listener import Listener
from node.listener.services.table import Services
from node.store.catalog.catalog import Catalog, open_catalog
from node.store.peers import Peer
from node.store.settings import Limits, Settings
from node.store_scu import StoreScu
from tests.unit.node.listener.encoded import EXPLICIT, image

_LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)


@dataclass
class DimseNode:
    settings: Settings
    catalog: Catalog
    listener: Listener
    stop: threading.Event = field(default_factory=threading.Event)

    @property
    def peer(self) -> Peer:
        return Peer(ae_title="OVERREAD", host="127.0.0.1", port=self.listener.port)

    def send(self, *paths: Path, calling_ae: str = "CT_1") -> None:
        assert all(verdict.stored for verdict in StoreScu(self.peer, calling_ae).send(paths))

    def events(self) -> list[str]:
        return [f"{event.kind}: {event.detail}" for event in self.catalog.views.node_events(_LONG_AGO, 1000)]


def limits(**changes: float) -> Limits:
    values = {"disk_reserve_mb": 0, "delivery_first_wait_s": 0.2, "delivery_longest_wait_s": 0.5, **changes}
    return Limits.model_validate(values)


@contextmanager
def dimse_node(folder: Path, *, registrar: bool = True, **settings: Any) -> Iterator[DimseNode]:
    chosen = Settings.model_validate({"data": folder / "data", "host": "127.0.0.1", "port": 0, "limits": limits(), **settings})
    catalog = open_catalog(chosen)
    listener = Listener(chosen, catalog.intake, Services(catalog.signals, catalog.commitments, chosen))
    listener.start()
    node = DimseNode(chosen, catalog, listener)
    thread = threading.Thread(target=Registrar(chosen, catalog.commitments, poll_s=0.05).run, args=(node.stop,))
    if registrar:
        thread.start()
    try:
        yield node
    finally:
        node.stop.set()
        if registrar:
            thread.join(30)
        listener.stop(drain_s=0.5)
        catalog.close()


def files(folder: Path, *numbers: int, study: str = "1.2.3", **attributes: str) -> list[Path]:
    """Small CT images as files."""
    folder.mkdir(parents=True, exist_ok=True)
    made = []
    for number in numbers:
        one: Dataset = image(number, study=study)
        for keyword, value in attributes.items():
            setattr(one, keyword, value)
        one.file_meta = FileMetaDataset()
        one.file_meta.TransferSyntaxUID = EXPLICIT
        path = folder / f"{study}.{number}.dcm"
        dcmwrite(path, one, enforce_file_format=True)
        made.append(path)
    return made
