"""``overread run``: one model on DICOM files, without network, catalog or queue."""

from __future__ import annotations

import filecmp
import math
import uuid
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from node.store.errors import ConfigurationError, NotUnderstood, OverreadError, Refused
from node.store.profiles import PROFILES, Language, Profile, in_language
from node.store.records import Arrival, Outcome, StackPlan, StoredInstance
from node.store.settings import Route, Settings
from node.store.spool import check_uid

if TYPE_CHECKING:
    from models.manifest import Manifest
    from node.studies.plan import Planner
    from workers.analysis import Analyst
    from workers.compare import Agreement, Reference
    from workers.series.stack import Stack

IDENTITY: Final = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "SOPClassUID", "Modality")


@dataclass(frozen=True, slots=True)
class Reading:
    """What came of one stack.

    Parameters
    ----------
    outcome
        ``read``, ``refused``, ``not chosen`` or ``failed``.
    summary
        As `node.store.records.ResultSet.summary`, where it was read.
    files
        What was written.
    agreements
        With a labelled volume, where one was given.
    """

    study_uid: str
    stack: str
    outcome: str
    reason: str
    summary: dict[str, Any]
    files: tuple[Path, ...]
    agreements: tuple[Agreement, ...] = ()


def read_files(
    model: str,
    paths: Sequence[Path],
    out: Path,
    settings: Settings,
    profile: Profile = "standard",
    *,
    language: Language = "en",
    region: tuple[float, float, float] | None = None,
    reference: Reference | None = None,
) -> Iterator[Reading]:
    """Read every stack of the DICOM files below `paths` with one model; objects go to ``out/<Study Instance UID>/``.

    Parameters
    ----------
    language
        Of texts for people.
    region
        Row, column and radius in pixels, marked on every image that is read, for a model that rates marked regions.
    reference
        A labelled volume that each volume which is read is compared with.

    Raises
    ------
    ConfigurationError
        Where there is no such model, or no DICOM file.
    """
    from models.manifest import named, read_library
    from workers.analysis import Analyst

    library = read_library(*settings.all_model_folders)
    manifest = named(library, model)
    unread: list[Reading] = []
    batches = _batches(paths, out, unread)
    yield from unread
    if not batches and not unread:
        raise ConfigurationError(f"no DICOM file below {', '.join(map(str, paths))}")
    planner = _planner(model, settings, library)
    kinds = [in_language(kind, language) for kind in PROFILES[profile]]
    analyst = Analyst(settings, library, kinds)
    for instances in batches:
        installation = str(uuid.uuid4())  # a run is its own installation: its results never share UIDs with another run's
        by_id = {instance.instance_id: Path(instance.arrival.path) for instance in instances}
        study_uid = instances[0].arrival.study_uid
        for stack in planner(instances):
            files = [by_id[instance_id] for instance_id in stack.instance_ids]
            yield _read_stack(
                analyst,
                manifest,
                stack,
                files,
                kinds=kinds,
                folder=out / study_uid,
                study_uid=study_uid,
                installation=installation,
                region=region,
                reference=reference,
            )


def only_stack(manifest: Manifest, paths: Sequence[Path], settings: Settings, folder: Path) -> Stack:
    """The one stack below `paths` that the model reads, loaded as a worker loads it.

    Parameters
    ----------
    folder
        For copies of files that lack an identity.

    Raises
    ------
    ConfigurationError
        Where there is none, with the reasons, or more than one.
    Refused
        Where it cannot be loaded.
    """
    from workers.series.stack import load_stack

    unread: list[Reading] = []
    found, others = [], []
    planner = _planner(manifest.name, settings, {manifest.name: manifest})
    for instances in _batches(paths, folder, unread):
        by_id = {instance.instance_id: Path(instance.arrival.path) for instance in instances}
        for stack in planner(instances):
            if any(decision.outcome is Outcome.CHOSEN for decision in stack.decisions):
                found.append((stack, [by_id[instance_id] for instance_id in stack.instance_ids]))
            else:
                others += [decision.reason for decision in stack.decisions]
    if len(found) != 1:
        reasons = "; ".join(dict.fromkeys([*others, *(one.reason for one in unread)])) or "no DICOM file"
        said = f"{len(found)} stacks: give the files of one" if found else f"none ({reasons})"
        raise ConfigurationError(f"one stack that {manifest.name} reads is wanted, there are {said}")
    stack, files = found[0]
    return load_stack(files, stack.facts.get("frame_numbers"), int(stack.facts.get("phases") or 1))


def _planner(model: str, settings: Settings, library: Mapping[str, Manifest]) -> Planner:
    """Splits and routes as the node does, to one model alone."""
    from node.studies.plan import Planner  # free of network and catalog

    route = Route(name="overread run", models=(model,))
    return Planner(settings.model_copy(update={"routes": (route,), "destinations": ()}), library)


def marked_region(given: str | None) -> tuple[float, float, float] | None:
    """Row, column and radius of ``COLUMN,ROW,RADIUS``.

    Raises
    ------
    ConfigurationError
        Where these are not three numbers, the last above 0.
    """
    if given is None:
        return None
    try:
        column, row, radius = (float(word) for word in given.split(","))
    except ValueError as wrong:
        raise ConfigurationError(f"--region {given!r} is not COLUMN,ROW,RADIUS in pixels, e.g. 812,1204.5,60") from wrong
    if not all(map(math.isfinite, (column, row, radius))) or radius <= 0:
        raise ConfigurationError(f"--region {given!r}: the radius must be above 0, and all three finite")
    return row, column, radius


def _read_stack(
    analyst: Analyst,
    manifest: Manifest,
    stack: StackPlan,
    files: list[Path],
    *,
    kinds: Collection[str],
    folder: Path,
    study_uid: str,
    installation: str,
    region: tuple[float, float, float] | None,
    reference: Reference | None,
) -> Reading:
    from workers.encode.identity import ResultIdentity
    from workers.nameless import COPIES, NOTE

    name = stack.description or stack.key
    chosen = [decision for decision in stack.decisions if decision.outcome is Outcome.CHOSEN]
    if not chosen:
        about = [decision for decision in stack.decisions if decision.model in {manifest.name, ""}]
        decision = min(about, key=lambda one: one.outcome is not Outcome.REFUSED)
        return Reading(study_uid, name, str(decision.outcome), decision.reason, {}, ())
    identity = ResultIdentity(
        installation=installation,
        study_uid=study_uid,
        stack_key=stack.key,
        model=manifest.name,
        version=manifest.version,
        fingerprint=manifest.fingerprint,
        revision=1,
        run=1,
        created_at=datetime.now(UTC),
    )
    facts = stack.facts
    if any(file.parent.name == COPIES for file in files):
        facts = {**facts, "notes": [NOTE, *facts.get("notes", ())]}
    if region is not None:
        facts = {**facts, "region": list(region)}
    agreements: list[Agreement] = []
    look = (lambda *seen: agreements.extend(reference.compare(*seen))) if reference is not None else None
    try:
        objects, summary = analyst.read(manifest, files, facts, identity, look)
    except Refused as refusal:
        return Reading(study_uid, name, "refused", refusal.reason, {}, ())
    except OverreadError as error:
        return Reading(study_uid, name, "failed", str(error), {}, ())
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for made in (one for one in objects if one.kind in kinds):
        path = folder / f"{made.kind}-{made.sop_instance_uid}.dcm"
        path.write_bytes(made.content)
        written.append(path)
    return Reading(study_uid, name, "read", "", summary, tuple(written), tuple(agreements))


def _batches(paths: Sequence[Path], out: Path, unread: list[Reading]) -> list[list[StoredInstance]]:
    """The instances to read together: one batch a study, and another for each further image under a UID that was seen already.

    What is a DICOM object and yet cannot be read is told in `unread`.
    """
    batches: dict[tuple[str, int], list[StoredInstance]] = defaultdict(list)
    versions: dict[str, list[str]] = defaultdict(list)
    for number, path in enumerate(_files(paths), start=1):
        try:
            arrival = _arrival(path, out)
        except NotUnderstood as broken:
            unread.append(Reading("no study", path.name, "refused", str(broken), {}, ()))
            continue
        if arrival is None:
            continue
        known = versions[arrival.sop_instance_uid]
        if not any(filecmp.cmp(arrival.path, other, shallow=False) for other in known):
            batches[arrival.study_uid, len(known)].append(StoredInstance(number, arrival))
            known.append(arrival.path)
    return list(batches.values())


def _files(paths: Sequence[Path]) -> Iterable[Path]:
    for path in paths:
        if path.is_dir():
            yield from sorted(file for file in path.rglob("*") if file.is_file())
        elif path.is_file():
            yield path
        else:
            raise ConfigurationError(f"{path} is neither a file nor a folder")


def _arrival(path: Path, out: Path) -> Arrival | None:
    """What the spool would know of a file, or of its copy with the UIDs that it lacks; None where it is not a DICOM object.

    Raises
    ------
    NotUnderstood
        Where a UID is none: results go to a folder that is named after the study, and nowhere else.
    """
    from pydicom import dcmread
    from pydicom.errors import InvalidDicomError

    from workers.nameless import identified_copy, missing_identity

    try:
        header = dcmread(path, stop_before_pixels=True, specific_tags=list(IDENTITY))
        for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"):
            if header.get(keyword):
                check_uid(str(header[keyword].value))
        if missing_identity(header):
            path = identified_copy(path, out)
            header = dcmread(path, stop_before_pixels=True, specific_tags=list(IDENTITY))
        return Arrival(
            study_uid=header.StudyInstanceUID,
            series_uid=header.SeriesInstanceUID,
            sop_instance_uid=header.SOPInstanceUID,
            sop_class_uid=header.SOPClassUID,
            transfer_syntax_uid=header.file_meta.TransferSyntaxUID,
            modality=header.get("Modality", "") or "",
            path=str(path.resolve()),
            version=1,
            size_bytes=path.stat().st_size,
            calling_ae="",
            called_ae="",
            received_at=datetime.now(UTC),
            own_result=False,
        )
    except (InvalidDicomError, AttributeError, OSError, EOFError):
        return None
