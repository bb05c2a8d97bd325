"""All settings, as one frozen object built at start and passed down; nothing else reads files or the environment for them."""

from __future__ import annotations

import json
import os
import re
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from node.store.destinations import (
    AnyDestination,
    Destination,
    FhirDestination,
    FolderDestination,
    Hl7Destination,
    WebDestination,
)
from node.store.endpoint import Endpoint
from node.store.errors import ConfigurationError
from node.store.nearest import nearest
from node.store.peers import Archive, Peer, check_ae_title
from node.store.proof import DESTINATION
from node.store.sources import Source, first_said

_PEER = re.compile(r"^(?:(?P<name>[A-Za-z0-9_.-]+)=)?(?P<aet>[^@=]{1,16})@(?P<host>\[[0-9a-fA-F:]+\]|[^:@]+):(?P<port>\d{1,5})$")


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


Positive = Annotated[float, Field(gt=0)]


class Tls(_Table):
    """The port where associations are accepted over TLS."""

    port: Annotated[int, Field(ge=0, le=65535)] = 2762
    """Port to listen on; 0 lets the system choose."""
    certificate: Path
    """Our certificate (PEM), with its chain."""
    key: Path
    """Its private key (PEM, without password)."""
    client_ca: Path | None = None
    """Certificates (PEM) of the CAs that senders' certificates are signed by; None: senders show none."""
    require_client_certificate: bool = True
    """With `client_ca`: whether senders must show a certificate."""
    only: bool = False
    """Whether nothing is accepted without TLS."""


class Route(_Table):
    """One ordered rule: which models read a stack and where the results go. The first route that matches a stack decides."""

    name: str
    calling_ae: tuple[str, ...] = ()
    """Calling AE titles it applies to; empty: all. ``*`` and ``?`` are wildcards."""
    called_ae: tuple[str, ...] = ()
    """Called AE titles it applies to; empty: all."""
    when: str = "true"
    """rule-engine expression over DICOM keywords and derived facts (`node.routing.facts`)."""
    models: tuple[str, ...] | None = None
    """Names of models; their own input selection still applies. None: all models that are not research only. Empty: none, with
    this route's name as the reason."""
    destinations: tuple[str, ...] | None = None
    """Names of destinations; None: all."""
    also_next: bool = False
    """Go on to the following routes after this one matched."""
    archive: str | None = None
    """Name of the archive for `fetch` and `priors`."""
    fetch: bool = False
    """Whether the rest of the study is fetched from the archive, so that series that were not sent are read too."""
    priors: Annotated[int, Field(ge=0, le=20)] = 0
    """How many earlier studies of the same patient and modality are fetched. They are stored and not read by themselves."""

    @model_validator(mode="after")
    def knows_where_from(self) -> Self:
        if (self.fetch or self.priors) and not self.archive:
            raise ValueError(f"route {self.name} fetches, but names no archive")
        return self


class Limits(_Table):
    """What the node allows itself and its peers."""

    associations: Annotated[int, Field(ge=1)] = 50
    """Associations open at once; more are rejected as transient (PS3.8 section 9.3.4)."""
    associations_per_source: Annotated[int, Field(ge=1)] | None = None
    """Associations that one source may have open, where it has no limit of its own; peers that no source lists count by
    calling AE title and host. None: no such limit."""
    negotiation_s: Positive = 30.0
    """Seconds that a new connection has until its association request is there (the ARTIM timer of PS3.8 section 9.1.5)."""
    idle_s: Positive = 60.0
    """Seconds without progress of the peer after which an association is aborted."""
    receivers: Annotated[int, Field(ge=1, le=64)] | None = None
    """Processes that receive. None: one a processor, at most four."""
    drain_s: Positive = 20.0
    """Seconds that SIGTERM waits for open associations and running jobs."""
    disk_reserve_mb: Annotated[int, Field(ge=0)] = 500
    """Free space, MB, below which images are no longer accepted (DIMSE A700)."""
    lease_s: Positive = 60.0
    """Seconds after which a job of a worker that gives no sign of life is given to another."""
    job_attempts: Annotated[int, Field(ge=1)] = 3
    """How often a job that breaks its worker is tried before it ends as failed."""
    delivery_first_wait_s: Positive = 5.0
    """Seconds before the second try of a delivery; doubled each time."""
    delivery_longest_wait_s: Positive = 3600.0
    delivery_give_up_s: Positive = 7 * 86400.0
    commitment_wait_s: Positive = 3600.0
    """Seconds for which an archive that has not all of what it shall commit, or prove that it keeps, is asked again."""


class Retention(_Table):
    """When files leave the spool so that its disk gets free. Off unless set: then everything is kept."""

    originals_days: Positive | None = None
    """Days after its last image, answer and delivery when the received images of a study are removed; None: never by age."""
    keep_free_mb: Annotated[int, Field(ge=1)] | None = None
    """Free space, MB, below which the images of the oldest delivered studies are removed; None: never for room."""
    room_after_hours: Positive = 1.0
    """Hours after its last image, answer and delivery before which a study is not removed for room either."""
    failed_days: Annotated[float, Field(ge=0)] = 30.0
    """Days for which the images of a study with a failed job or delivery are kept all the same."""
    results_days: Positive | None = None
    """Days after its last delivery when the result objects of a study are removed; None: never."""

    @model_validator(mode="after")
    def results_outlive_originals(self) -> Self:
        if self.results_days is not None and self.originals_days is not None and self.results_days < self.originals_days:
            raise ValueError("results_days must not be less than originals_days: results are kept longer than what they are of")
        return self


class Settings(_Table):
    """Everything that can be set; flags of the command line win over the environment, that over the file."""

    data: Path = Path("overread-data")
    """Folder of catalog, spool, queue and token; on a local disk."""
    ae_title: str = "OVERREAD"
    host: str = "0.0.0.0"  # noqa: S104 - a DICOM node listens for the hospital's network unless told otherwise
    port: Annotated[int, Field(ge=0, le=65535)] = 11112
    http: str = "127.0.0.1:8042"
    """HOST:PORT of healthz, metrics and the page."""
    quiet_s: Positive = 10.0
    """Seconds without a new image, and with no association open that sent some, after which a study counts as complete."""
    longest_wait_s: Positive = 3600.0
    """Seconds after its first image after which a study is read as it stands, marked as incomplete, whatever it waits for."""
    catalog_url: str | None = None
    """SQLAlchemy URL; None: SQLite in the data folder."""
    queue_url: str | None = None
    """Redis or Valkey URL; None: an embedded Valkey in the data folder."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    pull: bool = True
    """Whether weights that a model needs may be fetched on first use."""
    mirror: Path | None = None
    """Folder laid out as HOST/PATH that stands in for the network when weights are fetched."""
    model_folders: tuple[Path, ...] = ()
    """Folders of models beside the shipped library."""
    accept: Literal["any", "listed"] = "any"
    """Whose associations are accepted: anybody's, or those of `sources` only."""
    tls: Tls | None = None
    """Where associations are accepted over TLS; None: nowhere."""
    sources: tuple[Source, ...] = ()
    destinations: tuple[AnyDestination, ...] = ()
    archives: tuple[Archive, ...] = ()
    routes: tuple[Route, ...] = ()
    limits: Limits = Limits()
    retention: Retention = Retention()

    _title = field_validator("ae_title")(check_ae_title)

    @model_validator(mode="after")
    def names_fit(self) -> Self:
        names = [destination.name for destination in self.destinations]
        twice = {name for name in names if names.count(name) > 1}
        if twice:
            raise ValueError(f"two destinations are named {min(twice)}")
        archives = [archive.name for archive in self.archives]
        if len(set(archives)) < len(archives):
            raise ValueError("two archives have the same name")
        for source in self.sources:
            policy, _, name = source.commitment.partition(":")
            for asked in (name if policy == "archive" else None, source.archive):
                if asked is not None and asked not in archives:
                    hint = nearest(asked, archives, "there is none of that name")
                    raise ValueError(f"source {source.ae_title} names archive {asked}, {hint}")
        for route in self.routes:
            if route.archive is not None and route.archive not in archives:
                hint = nearest(route.archive, archives, "there is none of that name")
                raise ValueError(f"route {route.name} names archive {route.archive}, {hint}")
        if self.accept == "listed" and not self.sources:
            raise ValueError('accept = "listed" needs sources: with none, nobody could send')
        if any(source.certificate for source in self.sources) and (self.tls is None or self.tls.client_ca is None):
            raise ValueError("certificate of a source needs [tls] with client_ca: no sender shows one otherwise")
        for route in self.routes:
            for name in route.destinations or ():
                if name not in names:
                    raise ValueError(
                        f"route {route.name} names destination {name}, {nearest(name, names, 'there is none of that name')}"
                    )
        return self

    @model_validator(mode="after")
    def room_is_made_before_it_is_needed(self) -> Self:
        wanted = self.retention.keep_free_mb
        if wanted is not None and wanted <= self.limits.disk_reserve_mb:
            raise ValueError(
                f"retention.keep_free_mb must be more than limits.disk_reserve_mb ({self.limits.disk_reserve_mb}): "
                "below the reserve images are refused"
            )
        return self

    @property
    def plain(self) -> bool:
        """Whether associations are accepted without TLS."""
        return self.tls is None or not self.tls.only

    @property
    def sure_port(self) -> int:
        """A port that is listened on whatever else is: the plain one, else that for TLS."""
        return self.port if self.tls is None or self.plain else self.tls.port

    @property
    def spool(self) -> Path:
        """Root of the spool."""
        return self.data / "spool"

    @property
    def cache(self) -> Path:
        """Fetched weights and demonstration data."""
        return self.data / "cache"

    @property
    def shelf(self) -> Path:
        """Folder of the models that `overread models add` added."""
        return self.data / "models"

    @property
    def all_model_folders(self) -> tuple[Path, ...]:
        """Every folder of models beside the shipped ones."""
        return (*self.model_folders, self.shelf)

    def destination(self, name: str) -> AnyDestination | None:
        """The destination of that name, or None."""
        return next((destination for destination in self.destinations if destination.name == name), None)

    def archive(self, name: str) -> Archive | None:
        """The archive of that name, or None."""
        return next((archive for archive in self.archives if archive.name == name), None)

    def asked(self, whom: str) -> Peer | None:
        """Whom we ask to commit, by how the catalog names it: an archive, or a destination after `DESTINATION`."""
        if not whom.startswith(DESTINATION):
            return self.archive(whom)
        found = self.destination(whom.removeprefix(DESTINATION))
        return found if isinstance(found, Destination) else None

    @property
    def called(self) -> tuple[tuple[str, Endpoint], ...]:
        """Every port that this node calls, maybe over TLS of its own settings, by how a person knows it."""
        entities = [one for one in (*self.destinations, *self.archives) if isinstance(one, Destination | Archive)]
        reports = [(f"{source.ae_title} (report_to)", source.report_to) for source in self.sources if source.report_to]
        told = [(one.name, one.mllp) for one in self.destinations if isinstance(one, Hl7Destination)]
        return (*((one.name, one) for one in entities), *told, *reports)

    def peer_of(self, ae_title: str) -> Peer | None:
        """Where an AE title is called: by its source's `report_to`, else as the archive or destination of that title."""
        endpoint = first_said(self.sources, ae_title, lambda source: source.report_to)
        if endpoint:
            return Peer(ae_title=ae_title, **endpoint.model_dump())
        peers: tuple[Peer, ...] = (*self.archives, *(one for one in self.destinations if isinstance(one, Destination)))
        return next((peer for peer in peers if peer.ae_title == ae_title), None)


T = TypeVar("T", bound=BaseModel)
_SORTS: Final[dict[str, type[BaseModel]]] = {
    "dicom": Destination,
    "web": WebDestination,
    "folder": FolderDestination,
    "hl7": Hl7Destination,
    "fhir": FhirDestination,
}
"""How errors name the sorts of `AnyDestination`."""


def parse_peer(text: str, **more: object) -> Peer:
    """Read ``AET@HOST:PORT``.

    Parameters
    ----------
    more
        Further fields, such as ``tls``.

    Raises
    ------
    ConfigurationError
        Where the text is not of that form.
    """
    match = _PEER.fullmatch(text)
    if not match or match["name"]:
        raise ConfigurationError(f"{text!r} is not AET@HOST:PORT, e.g. ORTHANC@10.0.0.5:4242")
    return _validated(
        Peer, {"ae_title": match["aet"], "host": match["host"].strip("[]"), "port": int(match["port"]), **more}, text
    )


def parse_destination(text: str) -> AnyDestination:
    """Read ``NAME=AET@HOST:PORT``, ``NAME=https://…``, ``NAME=mllp://HOST:PORT``, ``NAME=fhir+https://…`` or ``NAME=FOLDER``.

    Without a name an application entity has its AE title's.
    A folder is told by a slash in it.

    Raises
    ------
    ConfigurationError
        Where the text is none of these.
    """
    match = _PEER.fullmatch(text)
    if match:
        name = match["name"] or match["aet"]
        return _validated(
            Destination,
            {"name": name, "ae_title": match["aet"], "host": match["host"].strip("[]"), "port": int(match["port"])},
            text,
        )
    name, _, where = text.partition("=")
    if where.startswith(("https://", "http://")):
        return _validated(WebDestination, {"name": name, "url": where}, text)
    if where.startswith("mllp://"):
        return _validated(Hl7Destination, {"name": name, "mllp": where.removeprefix("mllp://")}, text)
    if where.startswith("fhir+http"):
        return _validated(FhirDestination, {"name": name, "fhir": where.removeprefix("fhir+")}, text)
    if "/" in where:
        return _validated(FolderDestination, {"name": name, "folder": where}, text)
    raise ConfigurationError(
        f"{text!r} is not NAME=AET@HOST:PORT, e.g. pacs=ORTHANC@10.0.0.5:4242, NAME=https://… or NAME=FOLDER"
    )


def load_settings(
    config: Path | None = None,
    overrides: Mapping[str, Any] | None = None,
    environment: Mapping[str, str] | None = None,
    destinations: Sequence[AnyDestination] = (),
) -> Settings:
    """Build the settings from a file, the environment and the flags.

    Parameters
    ----------
    config
        TOML, or the JSON that `dump_settings` wrote for a child process. None: ``OVERREAD_CONFIG``, else no file.
    overrides
        Flags that were given; None values are skipped.
    environment
        ``OVERREAD_DATA``, ``OVERREAD_CONFIG`` and ``OVERREAD_MIRROR`` are read; the process's own by default.
    destinations
        Destinations beside those of the file; one that is named like one of the file's takes its place.

    Raises
    ------
    ConfigurationError
        Where the file cannot be read, a key is unknown (the nearest right one is named) or a value is wrong.
    """
    environment = os.environ if environment is None else environment
    if config is None and environment.get("OVERREAD_CONFIG"):
        config = Path(environment["OVERREAD_CONFIG"])
    values = _read(config) if config else {}
    for key in ("data", "mirror"):
        if environment.get(f"OVERREAD_{key.upper()}"):
            values[key] = environment[f"OVERREAD_{key.upper()}"]
    values.update({key: value for key, value in (overrides or {}).items() if value is not None})
    if destinations:
        named = {destination.name for destination in destinations}
        kept = [table for table in values.get("destinations", ()) if not (isinstance(table, dict) and table.get("name") in named)]
        values["destinations"] = [*kept, *(destination.model_dump() for destination in destinations)]
    return _validated(Settings, values, str(config or "settings"))


def dump_settings(settings: Settings, path: Path) -> None:
    """Write settings for a child process, readable by their owner only."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(settings.model_dump_json(indent=1))


def _read(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text(encoding="utf-8")
        content = json.loads(text) if path.suffix == ".json" else tomllib.loads(text)
    except OSError as missing:
        raise ConfigurationError(f"{path} cannot be read: {missing.strerror}") from missing
    except ValueError as broken:
        raise ConfigurationError(f"{path} is not valid {path.suffix.lstrip('.').upper() or 'TOML'}: {broken}") from broken
    if not isinstance(content, dict):
        raise ConfigurationError(f"{path} must hold a table of settings")
    return content


def _validated(kind: type[T], values: Mapping[str, Any], where: str) -> T:
    try:
        return kind.model_validate(values)
    except ValidationError as invalid:
        raise ConfigurationError(f"{where}: " + "; ".join(_say(kind, dict(error)) for error in invalid.errors())) from invalid


def _say(kind: type[BaseModel], error: Mapping[str, Any]) -> str:
    place = ".".join(str(part) for part in error["loc"] if part not in _SORTS)
    if error["type"] == "extra_forbidden":
        table = _table_at(kind, error["loc"][:-1])
        return f"unknown key {place}, {nearest(str(error['loc'][-1]), list(table.model_fields), 'see docs/configuration.md')}"
    said = str(error["msg"]).removeprefix("Value error, ")
    return f"{place}: {said}" if place else said


def _table_at(kind: type[BaseModel], location: tuple[Any, ...]) -> type[BaseModel]:
    """The table that a location of a pydantic error stands in."""
    for part in location:
        if isinstance(part, int) or part in _SORTS:
            kind = _SORTS.get(part, kind) if isinstance(part, str) else kind
            continue
        annotation = kind.model_fields[part].annotation
        for candidate in (annotation, *getattr(annotation, "__args__", ())):
            if isinstance(candidate, type) and issubclass(candidate, BaseModel):
                kind = candidate
                break
    return kind
