"""Write docs/conformance.md: what the code's tables say is read from them, the words are in conformance.md.j2."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import pydicom.uid
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from pydicom.uid import UID, UID_dictionary

from node import store_scu, tls, upper_layer
from node.association import VERIFICATION
from node.check.decoders import DECODERS
from node.delivery import stow
from node.delivery.answers import ANSWERS
from node.listener import admission, negotiation, status
from node.listener.services import exchange
from node.listener.services.table import SERVED
from node.recoding import UIDS
from node.store.errors import OverreadError
from node.store.profiles import PROFILES
from node.store.provenance import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME, MANUFACTURER
from node.store.settings import Limits, Settings, Tls
from node.store.syntaxes import AS_MADE
from workers.encode.seg import LABELMAP_STORAGE

ROOT = Path(__file__).resolve().parents[1]
DOCUMENT = ROOT / "docs" / "conformance.md"
COMMANDS = {
    "1.2.840.10008.3.1.2.3.3": "N-CREATE, N-SET",
    "1.2.840.10008.5.1.4.33": "N-CREATE",
    "1.2.840.10008.1.20.1": "N-ACTION, N-EVENT-REPORT",
}
"""DIMSE services of the SOP classes that may stand in `SERVED` (PS3.4)."""

NO_STATUS = ("LONGEST", "AFFECTED", "REQUESTED")
"""Whole numbers of `exchange` that are not statuses."""


def table(*heads: str, rows: Iterable[Sequence[object]]) -> str:
    lines = ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    lines += ["| " + " | ".join(str(cell).replace("|", "\\|") for cell in row) + " |" for row in rows]
    return "\n".join(lines)


def name(uid: str) -> str:
    return "Label Map Segmentation Storage" if uid == LABELMAP_STORAGE else str(UID(uid).name)


def named(uids: Iterable[str]) -> list[tuple[str, str]]:
    return [(name(uid), f"`{uid}`") for uid in uids]


def storage_classes() -> list[str]:
    """SOP classes of the standard that the listener stores, as its own rule says."""
    known = [uid for uid in UID_dictionary if is_class(uid) and negotiation.is_storage(uid)]
    return sorted(known, key=lambda uid: (name(uid), uid))


def result_classes() -> list[str]:
    """SOP classes of the objects that the encoders make: what they import by name."""
    found = set()
    for tree in trees("workers/encode"):
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and node.module == "pydicom.uid":
                found |= {one.name for one in node.names if one.name.endswith("Storage")}
    # pydicom has no name yet for the class of label maps; that of presentation states is named by highdicom
    found.add("GrayscaleSoftcopyPresentationStateStorage")
    return sorted((*(str(getattr(pydicom.uid, keyword)) for keyword in found), str(LABELMAP_STORAGE)), key=name)


def requested_classes() -> list[str]:
    """SOP classes beside storage that the node asks others for: those that its code names outside the listener."""
    named_in_code = {
        node.value
        for tree in trees("node", "node/doubles", "node/listener")
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and is_class(node.value)
    }
    return sorted((uid for uid in named_in_code - {VERIFICATION} if not is_kept(uid)), key=name)


def is_class(text: str) -> bool:
    """Whether a text is the UID of a SOP class of the standard."""
    return text in UID_dictionary and UID_dictionary[text][1] == "SOP Class"


def is_kept(uid: str) -> bool:
    """Whether a SOP class is one of objects or media, and not of a service."""
    return negotiation.is_storage(uid) or "Storage Directory" in name(uid)


def trees(folder: str, *but: str) -> Iterator[ast.Module]:
    for path in sorted((ROOT / folder).rglob("*.py")):
        if not any(path.is_relative_to(ROOT / other) for other in but):
            yield ast.parse(path.read_text(encoding="utf-8"))


def fault_in_words(kind: type[Exception]) -> str:
    if kind is OverreadError:
        return "Something else went wrong here"
    return " ".join((kind.__doc__ or "").split()).partition(" (DIMSE")[0].removesuffix(".")


def figure(value: object) -> str:
    if value is None:
        return "none"
    return f"{value:g}" if isinstance(value, float) else str(value)


def yes(is_so: bool) -> str:
    return "yes" if is_so else "no"


def overview() -> str:
    results = result_classes()
    rows = [("Verification", "yes", "yes"), *((name(uid), "yes", "yes") for uid in results)]
    rows.append(
        (f"all {len(set(storage_classes()) - set(results))} other Storage SOP classes of section 3.2.1", "yes (1)", "yes")
    )
    asked = requested_classes()
    rows += [(name(uid), yes(uid in asked), yes(uid in SERVED)) for uid in sorted({*SERVED, *asked})]
    return table("SOP class", "SCU", "SCP", rows=rows)


def association_tables() -> dict[str, str]:
    limits = Limits()
    context = ("Application Context Name", f"`{upper_layer.APPLICATION_CONTEXT}`")
    one_at_a_time = ("Asynchronous operations", "not negotiated: one operation at a time")
    acceptor = [
        context,
        ("Maximum PDU length received", f"{negotiation.LONGEST_PDU} bytes"),
        ("Associations open at once", f"{limits.associations} by default (`limits.associations`); of one source `associations`"),
        one_at_a_time,
        ("Time for the association request", f"{figure(limits.negotiation_s)} s by default (`limits.negotiation_s`)"),
        ("Idle time", f"{figure(limits.idle_s)} s by default (`limits.idle_s`); a peer that sends slowly is waited for"),
    ]
    offered = ", ".join("as made" if one == "made" else name(UIDS[one]) for one in AS_MADE)
    can_be = ", ".join(name(uid) for uid in UIDS.values())
    requestor = [
        context,
        ("Presentation contexts", f"one for each SOP class and transfer syntax, at most {upper_layer.MOST_CONTEXTS}"),
        ("Transfer syntaxes", f"of results, by default: {offered}; configurable (`transfer_syntaxes`): {can_be}"),
        ("Transfer syntax chosen", "the first in that order that is accepted; results are written anew in it, losslessly"),
        ("Priority of C-STORE", "MEDIUM; HIGH for results of findings that the destination calls urgent (`urgent`)"),
        ("Associations open at once", "one to each destination"),
        one_at_a_time,
    ]
    implementation = [
        ("Implementation Class UID", f"`{IMPLEMENTATION_CLASS_UID}`"),
        ("Implementation Version Name", f"`{IMPLEMENTATION_VERSION_NAME}`"),
    ]
    made = {"acceptor": acceptor, "requestor": requestor, "implementation": implementation}
    return {key: table("what", "value", rows=rows) for key, rows in made.items()}


def status_tables() -> dict[str, str]:
    stored = [("0000", "The object and its directory entry are on stable storage")]
    stored += [(f"{code:04X}", fault_in_words(kind)) for kind, code in status.STATUS]
    stored.append((f"{status.UNRECOGNISED_OPERATION:04X}", "The command is not served"))
    words = {key: value for key, value in vars(exchange).items() if key.isupper() and isinstance(value, int)}
    refused = [(f"{code:04X}", key.replace("_", " ").lower()) for key, code in words.items() if not key.startswith(NO_STATUS)]
    answers = [(f"{low:04X}" if low == high else f"{low:04X} to {high:04X}", done, said) for low, high, done, said in ANSWERS]
    return {
        "store_statuses": table("status", "when", rows=stored),
        "service_statuses": table("status", "meaning", rows=sorted(refused)),
        "answers": table("status of the answer", "what is done", "meaning", rows=answers),
        "meanings": table("status", "meaning", rows=((f"{code:04X}", said) for code, said in sorted(store_scu.MEANINGS.items()))),
        "web_answers": table("HTTP status", "meaning", rows=sorted(stow._MEANINGS.items())),
        "rejections": table("result", "source", "reason", "when", rows=admission.REJECTIONS),
    }


def class_tables() -> dict[str, str]:
    served = [("Verification", f"`{VERIFICATION}`", "C-ECHO")]
    served += [(name(uid), f"`{uid}`", COMMANDS.get(uid, "see PS3.4")) for uid in sorted(SERVED)]
    served.append(("Storage", "below", "C-STORE"))
    return {
        "services": table("service", "UID", "DIMSE", rows=served),
        "storage_classes": table("Storage SOP class", "UID", rows=named(storage_classes())),
        "requested": table("SOP class", "UID", rows=named([*result_classes(), *requested_classes()])),
        "results": table("SOP class", "UID", rows=named(result_classes())),
        "profiles": table("profile", "kinds of object", rows=((f"`{key}`", ", ".join(kinds)) for key, kinds in PROFILES.items())),
        "decoders": table("transfer syntax", "UID", rows=((label, f"`{uid}`") for uid, label, _, _ in DECODERS)),
    }


def setting_tables() -> dict[str, str]:
    settings = Settings()
    secured = Tls.model_fields["port"].default
    titles = [("LISTENER", settings.ae_title, f"{settings.port}, with TLS {secured}"), ("COURIER", settings.ae_title, "none")]
    parameters = [("`accept`", settings.accept), *((f"`limits.{key}`", figure(value)) for key, value in settings.limits)]
    return {
        "titles": table("AE", "default AE title", "default port", rows=titles),
        "parameters": table("parameter", "default", rows=parameters),
        "ciphers": table("cipher suite of TLS 1.2, as OpenSSL calls it", rows=([f"`{suite}`"] for suite in tls.CIPHERS)),
    }


def statement() -> str:
    """The whole document."""
    environment = Environment(loader=FileSystemLoader(Path(__file__).parent), undefined=StrictUndefined, autoescape=False)
    environment.filters["figure"] = figure
    values = {**association_tables(), **status_tables(), **class_tables(), **setting_tables()}
    words = environment.get_template("conformance.md.j2")
    return words.render(overview=overview(), limits=Limits(), manufacturer=MANUFACTURER, **values).rstrip("\n") + "\n"


def main() -> int:
    written = statement()
    if "--check" not in sys.argv:
        DOCUMENT.write_text(written, encoding="utf-8")
        return 0
    if DOCUMENT.is_file() and DOCUMENT.read_text(encoding="utf-8") == written:
        return 0
    print("docs/conformance.md is not what the code says: run scripts/conformance")
    return 1


if __name__ == "__main__":
    sys.exit(main())
