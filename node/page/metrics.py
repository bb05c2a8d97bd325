"""Figures for Prometheus. Counts, sizes and names of destinations: nothing of a patient, no UIDs."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator, Mapping
from enum import StrEnum
from importlib.metadata import version

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.registry import Collector

from node.certificate import validity
from node.page.health import PageCatalog
from node.store.errors import ConfigurationError
from node.store.ports import Views
from node.store.records import KeptView, QueueView
from node.store.settings import Settings
from node.store.states import CommitmentState, DeliveryState, JobState, StudyState

STATES: dict[str, type[StrEnum]] = {
    "studies": StudyState,
    "jobs": JobState,
    "deliveries": DeliveryState,
    "commitments": CommitmentState,
}


class NodeCollector(Collector):
    """Reads the catalog and the disk whenever it is scraped.

    Parameters
    ----------
    catalog
        Counts by state, and what waits for each destination.
    settings
        Names the destinations and the disk.
    """

    def __init__(self, catalog: PageCatalog, settings: Settings) -> None:
        self._catalog = catalog
        self._settings = settings

    def collect(self) -> Iterator[Metric]:
        yield InfoMetricFamily("overread", "Version of this node.", {"version": version("overread")})
        counts = self._catalog.views.counts()
        for name, states in STATES.items():
            family = GaugeMetricFamily(f"overread_{name}", f"{name.capitalize()} by state.", labels=["state"])
            for state in states:
                family.add_metric([str(state)], counts.get(name, {}).get(str(state), 0))
            yield family
        waiting = self._catalog.outbox.waiting()
        outbox = GaugeMetricFamily("overread_outbox", "Result objects that wait for a destination.", labels=["destination"])
        for destination in {one.name: None for one in self._settings.destinations} | dict.fromkeys(waiting):
            outbox.add_metric([destination], waiting.get(destination, 0))
        yield outbox
        down = GaugeMetricFamily("overread_destination_down", "1 where a destination does not answer.", labels=["destination"])
        broken = self._catalog.breakers.all()
        for destination in {one.name: None for one in self._settings.destinations} | dict.fromkeys(broken):
            down.add_metric([destination], int(destination in broken))
        yield down
        yield _unproven(self._catalog.views.queues())
        yield from _told(self._catalog.views, self._settings)
        yield from _removed(self._catalog.views.kept())
        rejections = CounterMetricFamily(
            "overread_rejections", "Associations, contexts and connections turned away.", labels=["kind"]
        )
        for kind, count in self._catalog.views.rejected().items():
            rejections.add_metric([kind], count)
        yield rejections
        yield from _certificates(self._settings)
        free = shutil.disk_usage(self._settings.data).free
        yield GaugeMetricFamily("overread_disk_free_bytes", "Free space where images and results are kept.", free)
        reserve = self._settings.limits.disk_reserve_mb * 1_000_000
        yield GaugeMetricFamily("overread_disk_reserve_bytes", "Free space below which images are refused.", reserve)


def _unproven(queues: Mapping[str, QueueView]) -> Metric:
    """What was sent, and is not proven to be kept: as a delivery's proof is called."""
    family = GaugeMetricFamily("overread_proofs", "Sent objects without proof.", labels=["destination", "proof"])
    for destination, queue in queues.items():
        family.add_metric([destination, "not proven yet"], queue.unproven_yet)
        family.add_metric([destination, "not proven"], queue.unproven)
    return family


def _told(views: Views, settings: Settings) -> Iterator[Metric]:
    """What was said about studies, and what archives were asked to commit."""
    signals = GaugeMetricFamily("overread_signals", "Messages about studies beside their images, by kind.", labels=["kind"])
    for kind, count in views.said().items():
        signals.add_metric([kind], count)
    yield signals
    asked = views.asked()
    requests = GaugeMetricFamily(
        "overread_asked_commitments", "Storage commitment requests to archives.", labels=["archive", "reported"]
    )
    for archive in dict.fromkeys([*(one.name for one in settings.archives), *(name for name, _ in asked)]):
        for reported in (False, True):
            requests.add_metric([archive, str(reported).lower()], asked.get((archive, reported), 0))
    yield requests


def _removed(kept: KeptView) -> Iterator[Metric]:
    yield CounterMetricFamily("overread_removed_files", "Files that retention has removed.", kept.removed_files)
    yield CounterMetricFamily("overread_removed_bytes", "Their size.", kept.removed_bytes)
    if kept.oldest_at is not None:
        at = kept.oldest_at.timestamp()
        yield GaugeMetricFamily("overread_oldest_original_seconds", "Last image of the oldest study whose images are here.", at)


def _certificates(settings: Settings) -> Iterator[Metric]:
    """When the certificates that this node shows end; those that cannot be read are `overread check`'s to tell."""
    shown = {"node": settings.tls.certificate} if settings.tls else {}
    shown |= {name: called.certificate for name, called in settings.called if called.certificate}
    if not shown:
        return
    ends = GaugeMetricFamily(
        "overread_certificate_expires_seconds",
        "End of the certificate shown to senders (node), or to whom we call.",
        labels=["to"],
    )
    for to, certificate in shown.items():
        with contextlib.suppress(ConfigurationError):
            ends.add_metric([to], validity(certificate)[1].timestamp())
    yield ends


def render(catalog: PageCatalog, settings: Settings) -> bytes:
    """The figures in the text format of Prometheus."""
    registry = CollectorRegistry()
    registry.register(NodeCollector(catalog, settings))
    ProcessCollector(registry=registry)
    return generate_latest(registry)
