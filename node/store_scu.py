"""Sending DICOM files to a peer by C-STORE, with a verdict on each (PS3.4 annex B)."""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO, Final

from node.association import Association, AssociationLost
from node.listener import walk
from node.listener.source import OpenFile
from node.recoding import forms, in_words, recoded
from node.store import part10
from node.store.errors import NotUnderstood, OverreadError
from node.store.part10 import FileHead
from node.store.peers import Peer
from node.store.syntaxes import Syntax
from node.uids import EXPLICIT_BIG_ENDIAN, EXPLICIT_LITTLE_ENDIAN, IMPLICIT_LITTLE_ENDIAN
from node.upper_layer import MOST_CONTEXTS, Context

SUCCESS: Final = 0x0000

MEANINGS: Final = {
    0x0000: "stored",
    0x0110: "the peer failed while processing it",
    0x0111: "the peer says it has an object of this UID already",
    0x0117: "the peer finds the SOP Instance UID invalid",
    0x0122: "the peer does not support the SOP class",
    0x0124: "the peer does not allow us to store: register our AE title there",
    0x0210: "the peer says the message was a repeat",
    0x0211: "the peer does not offer storage",
    0x0212: "the peer found an argument mistyped",
    0xB000: "stored, some values were changed by the peer",
    0xB006: "stored, some elements were discarded by the peer",
    0xB007: "stored, though the peer says the object does not match its SOP class",
}
"""PS3.4 section B.2.3 and PS3.7 section 9.1.1.1.9."""

_HEADLESS: Final = (IMPLICIT_LITTLE_ENDIAN, EXPLICIT_LITTLE_ENDIAN, EXPLICIT_BIG_ENDIAN)
"""Transfer syntaxes of data sets without a file head."""

_RETRYABLE: Final = frozenset({0x0110, 0x0124, 0x0210})


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of one file.

    Parameters
    ----------
    status
        Status of the peer's response to this very object; None where there was none.
    stored
        True only for success (0000) and warnings (Bxxx).
    reason
        For a person; without patient data.
    retryable
        Whether the same object may be stored by another try, with nothing changed here.
    heard
        Whether the peer answered, if only that it accepts no presentation context for it.
    note
        Of what was stored: the transfer syntax, where it is another than that of the file.
    """

    path: Path
    sop_instance_uid: str
    status: int | None
    stored: bool
    reason: str
    retryable: bool = False
    heard: bool = False
    note: str = ""

    @property
    def again_after_s(self) -> None:
        """A peer has no word for when it wants to be tried again."""


@dataclass(frozen=True, slots=True)
class Letter:
    """A file and what it can be sent as: `syntaxes`, what is preferred first."""

    path: Path
    head: FileHead
    syntaxes: tuple[str, ...]

    @property
    def contexts(self) -> tuple[Context, ...]:
        """One a transfer syntax: the peer answers for each (PS3.8 section 9.3.2.2), and we choose."""
        return tuple(Context(self.head.sop_class_uid, (syntax,)) for syntax in self.syntaxes)


def describe(status: int) -> str:
    """A storage status in words."""
    if status in MEANINGS:
        return MEANINGS[status]
    if 0xA700 <= status <= 0xA7FF:
        return "the peer is out of resources: look at its disk"
    if 0xA900 <= status <= 0xA9FF:
        return "the peer says the object does not match its SOP class"
    if 0xB000 <= status <= 0xBFFF:
        return "stored, with a warning of the peer"
    if 0xC000 <= status <= 0xCFFF:
        return "the peer does not understand the object"
    return "the peer refused it"


class StoreScu:
    """Sends files to one peer.

    One presentation context for each SOP class and transfer syntax; more than 128 of them take several associations, one after
    the other.

    Parameters
    ----------
    peer
        Who receives.
    calling_ae
        Our AE title.
    timeout_s
        Longest wait for each step of the peer, in seconds.
    syntaxes
        Transfer syntaxes that objects of ours are offered in, what is preferred first: of those that the peer accepts for a SOP
        class, the first is taken. None: each file goes as it is, which is all that can be done with files of others.
    urgent
        Whether files are sent with priority HIGH.
    """

    def __init__(
        self,
        peer: Peer,
        calling_ae: str,
        *,
        timeout_s: float = 60.0,
        syntaxes: Sequence[Syntax] | None = None,
        urgent: bool = False,
    ) -> None:
        self.peer = peer
        self._calling_ae = calling_ae
        self._timeout_s = timeout_s
        self._syntaxes = syntaxes
        self._urgent = urgent

    def send(self, paths: Iterable[Path]) -> Iterator[Verdict]:
        """Send files in their order; yields exactly one verdict for each, as soon as it is known, and raises none.

        An association that is lost is opened again for the rest, unless it was lost twice with nothing sent between.
        """
        group: list[Letter] = []
        contexts: set[Context] = set()
        for path in paths:
            try:
                letter = read_letter(path, self._syntaxes)
            except NotUnderstood as unreadable:
                yield Verdict(path, "", None, stored=False, reason=str(unreadable))
                continue
            if len(contexts.union(letter.contexts)) > MOST_CONTEXTS:
                yield from self._send_group(group)
                group, contexts = [], set()
            group.append(letter)
            contexts.update(letter.contexts)
        yield from self._send_group(group)

    def _send_group(self, letters: list[Letter]) -> Iterator[Verdict]:
        lost_at_once = 0
        while letters:
            before = len(letters)
            try:
                with Association(self.peer, self._calling_ae, _contexts(letters), self._timeout_s) as association:
                    while letters and association.is_open:
                        verdict = _store(association, letters.pop(0), urgent=self._urgent)
                        yield verdict
            except OverreadError as fault:
                # A rejection too: the peer may be put right without anything changed here.
                for letter in letters:
                    yield _failed(letter, str(fault), retryable=True)
                return
            lost_at_once = lost_at_once + 1 if before - len(letters) <= 1 else 0
            if lost_at_once == 2 and letters:
                for letter in letters:
                    yield _failed(letter, f"not sent: {self.peer} broke off twice in a row", retryable=True)
                return


def _contexts(letters: list[Letter]) -> list[Context]:
    return list(dict.fromkeys(context for letter in letters for context in letter.contexts))


def read_letter(path: Path, syntaxes: Sequence[Syntax] | None = None) -> Letter:
    """What a file can be sent as.

    Raises
    ------
    NotUnderstood
        Where it cannot be read or is no DICOM object.
    """
    try:
        with path.open("rb") as file:
            head = _head_of(file)
    except OSError as unreadable:
        raise NotUnderstood(f"cannot be read: {unreadable.strerror}") from unreadable
    if not head.sop_class_uid or not head.sop_instance_uid:
        raise NotUnderstood("it names no SOP class or no SOP instance")
    return Letter(path, head, (head.transfer_syntax_uid,) if syntaxes is None else forms(head, syntaxes))


def _head_of(file: BinaryIO) -> FileHead:
    """The file's head, with the UIDs that its data set has: peers compare the command with these.

    Files without a head, as old modalities write them, are taken for what they can be walked as.
    """
    try:
        head = part10.read_head(file)
    except NotUnderstood:
        for syntax in _HEADLESS:
            with contextlib.suppress(NotUnderstood):
                outline = walk.outline(OpenFile(file.fileno()), 0, syntax)
                return FileHead(0, outline.sop_class_uid, outline.sop_instance_uid, syntax)
        raise
    with contextlib.suppress(NotUnderstood):  # the peer shall judge a broken data set
        outline = walk.outline(OpenFile(file.fileno()), head.offset, head.transfer_syntax_uid)
        return replace(
            head,
            sop_class_uid=outline.sop_class_uid or head.sop_class_uid,
            sop_instance_uid=outline.sop_instance_uid or head.sop_instance_uid,
        )
    return head


def _store(association: Association, letter: Letter, *, urgent: bool) -> Verdict:
    head = letter.head
    taken = ((association.context_for(head.sop_class_uid, syntax), syntax) for syntax in letter.syntaxes)
    context_id, syntax = next((one for one in taken if one[0] is not None), (None, ""))
    if context_id is None:
        refusal = association.refusal_of(head.sop_class_uid, *letter.syntaxes)
        return replace(_failed(letter, refusal, retryable=False), heard=True)
    try:
        with _content(letter, syntax) as (data_set, size_bytes):
            status = association.store(context_id, head.sop_class_uid, head.sop_instance_uid, data_set, size_bytes, urgent=urgent)
    except AssociationLost as lost:
        return _failed(letter, str(lost), retryable=True)
    except NotUnderstood as broken:
        return _failed(letter, str(broken), retryable=False)
    except OSError as unreadable:
        association.abort()
        return _failed(letter, f"cannot be read: {unreadable.strerror}", retryable=True)
    stored = status == SUCCESS or status & 0xF000 == 0xB000
    retryable = not stored and (status in _RETRYABLE or status & 0xFF00 == 0xA700)
    reason = describe(status) if status == SUCCESS else f"{describe(status)} (status {status:04X})"
    note = "" if syntax == head.transfer_syntax_uid else in_words(syntax)
    return Verdict(letter.path, head.sop_instance_uid, status, stored, reason, retryable, heard=True, note=note)


@contextlib.contextmanager
def _content(letter: Letter, syntax: str) -> Iterator[tuple[BinaryIO, int]]:
    """The data set in that transfer syntax, from where it begins, and its length in bytes."""
    if syntax != letter.head.transfer_syntax_uid:
        written = recoded(letter.path, letter.head, syntax)
        yield io.BytesIO(written), len(written)
        return
    with letter.path.open("rb") as file:
        file.seek(letter.head.offset)
        yield file, os.fstat(file.fileno()).st_size - letter.head.offset


def _failed(letter: Letter, reason: str, *, retryable: bool) -> Verdict:
    return Verdict(letter.path, letter.head.sop_instance_uid, None, stored=False, reason=reason, retryable=retryable)
