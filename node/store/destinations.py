"""Where results go: application entities, web archives and folders; systems that are told of them by HL7 v2 or FHIR."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Discriminator, Field, Tag, ValidationInfo

from node.store.endpoint import Endpoint, endpoint_in_short
from node.store.naming import OWN, DescriptionTemplate, NumberTemplate, SeriesNaming
from node.store.peers import Peer
from node.store.profiles import (
    INSTEAD,
    PROFILES,
    SEG_TYPES,
    WRITTEN_AS,
    Language,
    Profile,
    ResultKind,
    SegType,
    in_language,
    rejected,
    usual,
)
from node.store.syntaxes import AS_MADE, Syntaxes
from node.store.urgency import UrgentFinding


def _web_address(value: str, field: ValidationInfo) -> str:
    if not value.startswith(("https://", "http://")):
        raise ValueError(f"{field.field_name} must begin with https:// or http://")
    return value.rstrip("/")


WebAddress = Annotated[str, AfterValidator(_web_address)]


class Addressee(BaseModel):
    """Who is told of results, by objects or by messages."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]+$")]
    language: Language = "en"
    """Of the texts for people that it gets."""
    urgent: tuple[UrgentFinding, ...] = ()
    """Findings whose results are sent to it before all others."""

    @property
    def wanted(self) -> tuple[str, ...]:
        """The kinds that it gets, as the catalog has them."""
        raise NotImplementedError

    @property
    def replaced(self) -> dict[str, str]:
        """By kind, as the catalog has them: what is sent in place of one that is refused."""
        return {}

    @property
    def naming(self) -> SeriesNaming:
        """How the series that it gets are named."""
        return OWN


class OverHttp(BaseModel):
    """How a service is called over HTTP."""

    token_file: Path | None = None
    """File with the bearer token; read anew whenever something is sent, so that it may be renewed."""
    user: str | None = None
    """For basic authentication, with `password_file`."""
    password_file: Path | None = None
    ca: Path | None = None
    """Certificates (PEM) of the CAs that its own may be signed by; None: those that this system trusts."""


class Results(Addressee):
    """A destination of result objects."""

    profile: Profile = "standard"
    """What sort of destination it is, which decides the kinds of object that it gets (`node.store.profiles`)."""
    kinds: tuple[ResultKind, ...] | None = None
    """Which kinds of object it gets; None: those of its profile."""
    seg: SegType | None = None
    """How segmentations are written for it; None: as its profile says (`node.store.profiles.SEG_TYPES`)."""
    instead: dict[ResultKind, ResultKind] | None = None
    """What it gets in place of a kind that it refuses; None: what its profile says (`node.store.profiles.INSTEAD`)."""
    transfer_syntaxes: Syntaxes = AS_MADE
    """In which objects are sent, what is preferred first: the first that the peer accepts, or, where nothing is negotiated, the
    first that the object has a form in."""

    series_number: NumberTemplate | None = None
    """Template of Series Number; None: five digits that tell models and series apart."""
    series_description: DescriptionTemplate | None = None
    """Template of Series Description; None: what Overread says."""

    @property
    def naming(self) -> SeriesNaming:
        """How the series that it gets are named."""
        return SeriesNaming(self.series_number, self.series_description)

    @property
    def replaced(self) -> dict[str, str]:
        """What its profile, or `instead`, says of kinds that it gets."""
        said = INSTEAD.get(self.profile, {}) if self.instead is None else self.instead
        return {
            name: self._made(other)
            for kind, other in said.items()
            if (made := self._made(kind)) in self.wanted
            for name in (made, usual(made))
        }

    def _made(self, kind: ResultKind) -> str:
        written = WRITTEN_AS[self.seg or SEG_TYPES.get(self.profile, "binary")]
        return in_language(written.get(kind, kind), self.language)

    @property
    def wanted(self) -> tuple[str, ...]:
        """The kinds of object that it gets, as the catalog has them: segmentations, and what refers to them, as they are written
        for it (`node.store.profiles.WRITTEN_AS`), texts in its language (`node.store.profiles.in_language`); rejection notes of
        these kinds alone.
        """
        chosen = PROFILES[self.profile] if self.kinds is None else self.kinds
        made = tuple(self._made(kind) for kind in chosen if kind != "rejection")
        return (*made, *(rejected(one) for one in made)) if "rejection" in chosen else made


class Destination(Peer, Results):
    """An application entity that results go to."""

    calling_ae: str | None = None
    """AE title that we call it with; ours (`Settings.ae_title`) where absent."""
    commit: bool = False
    """Whether it is asked to commit what it was sent (storage commitment, PS3.4 annex J)."""
    find: bool = False
    """Whether what it was sent is looked for there by C-FIND."""
    reconcile: bool = False
    """Whether it is asked by C-FIND, before anything is sent, whose the study is; results are held if not ours."""

    @property
    def proves(self) -> bool:
        """Whether more than its answer to the C-STORE is asked of it."""
        return self.commit or self.find


class WebDestination(Results, OverHttp):
    """An archive that takes objects by STOW-RS (PS3.18 section 10.5)."""

    url: WebAddress
    """Of the DICOMweb service; ``/studies`` is added to it."""
    find: bool = False
    """Whether what it was sent is looked for there by QIDO-RS (PS3.18 section 10.6)."""

    @property
    def commit(self) -> bool:
        """Never: storage commitment is asked for over associations."""
        return False

    @property
    def proves(self) -> bool:
        """Whether more than its answer to the STOW-RS is asked of it."""
        return self.find

    def __str__(self) -> str:
        return self.url


class FolderDestination(Results):
    """A folder: an object is a file ``<Study Instance UID>/<SOP Instance UID>.dcm`` below it."""

    folder: Path

    def __str__(self) -> str:
        return str(self.folder)


HeaderField = Annotated[str, Field(max_length=180, pattern=r"^[^|^~\\&\x00-\x1f]*$")]
"""Field of a message header without delimiters of HL7."""


class Hl7Destination(Addressee):
    """A system that takes HL7 v2 messages (ORU^R01) over MLLP."""

    mllp: Annotated[Endpoint, BeforeValidator(endpoint_in_short)]
    """Where it listens: ``HOST:PORT``, or a table with TLS."""
    sending_application: HeaderField = "OVERREAD"
    """MSH-3."""
    sending_facility: HeaderField = ""
    """MSH-4."""
    receiving_application: HeaderField = ""
    """MSH-5."""
    receiving_facility: HeaderField = ""
    """MSH-6."""

    @property
    def wanted(self) -> tuple[str, ...]:
        """The kind of message that it gets."""
        return (in_language("hl7", self.language),)

    def __str__(self) -> str:
        return f"mllp://{self.mllp}"


class FhirDestination(Addressee, OverHttp):
    """A FHIR R4 server that takes transactions."""

    fhir: WebAddress
    """Base of the service."""

    @property
    def wanted(self) -> tuple[str, ...]:
        """The kind of message that it gets."""
        return (in_language("fhir", self.language),)

    def __str__(self) -> str:
        return self.fhir


AnyHttpDestination = WebDestination | FhirDestination
ArchiveDestination = Destination | WebDestination
"""One that may prove what it keeps."""


def sort_of(values: Any) -> str:
    """Which sort of destination a table describes: ``web``, ``folder``, ``hl7``, ``fhir`` or ``dicom``."""
    given = values if isinstance(values, dict) else dict.fromkeys(type(values).model_fields, True)
    if "url" in given:
        return "web"
    if "mllp" in given:
        return "hl7"
    if "fhir" in given:
        return "fhir"
    return "folder" if "folder" in given else "dicom"


AnyDestination = Annotated[
    Annotated[Destination, Tag("dicom")]
    | Annotated[WebDestination, Tag("web")]
    | Annotated[FolderDestination, Tag("folder")]
    | Annotated[Hl7Destination, Tag("hl7")]
    | Annotated[FhirDestination, Tag("fhir")],
    Discriminator(sort_of),
]
