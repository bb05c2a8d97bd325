"""An association that we request for messages with data sets both ways: queries, retrieval, storage commitment.

Not for sending images, which `node.association.Association` streams as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from node import command_set, upper_layer
from node.association import Association, AssociationLost
from node.command_set import Command
from node.store.errors import NotUnderstood, Permanent
from node.tls import speaks_within
from node.uids import EXPLICIT_LITTLE_ENDIAN, IMPLICIT_LITTLE_ENDIAN
from node.upper_layer import Context

PLAIN: Final = (EXPLICIT_LITTLE_ENDIAN, IMPLICIT_LITTLE_ENDIAN)
"""Transfer syntaxes proposed for data sets of messages."""

_LONGEST_DATA_SET: Final = 16 << 20
"""Bytes of a message's data set; those that bring images go to a sink, whatever their size."""

Elements = Mapping[int, bytes | str | int]


@dataclass(frozen=True, slots=True)
class Message:
    """A message of the peer's; `content` is its data set, empty where it has none or where a sink took it."""

    context_id: int
    command: Command
    content: bytes = b""


class Sink(Protocol):
    """Takes a data set, fragment by fragment."""

    def write(self, fragment: memoryview) -> None: ...


class Dialogue(Association):
    """Sends requests with data sets, and takes whatever the peer sends."""

    def plain_context(self, sop_class_uid: str) -> tuple[int, str]:
        """Id and transfer syntax of an accepted context of that SOP class.

        Raises
        ------
        Permanent
            Where the peer accepted none.
        """
        for syntax in PLAIN:
            context_id = self.context_for(sop_class_uid, syntax)
            if context_id is not None:
                return context_id, syntax
        raise Permanent(self.refusal_of(sop_class_uid, EXPLICIT_LITTLE_ENDIAN))

    def accepted(self, context_id: int) -> tuple[str, str]:
        """SOP class and transfer syntax of an accepted context.

        Raises
        ------
        AssociationLost
            Where it was not accepted.
        """
        result, syntax = self._results.get(context_id, (2, ""))
        if result != 0 or context_id not in self._proposed:
            self.abort()
            raise AssociationLost(f"{self.peer} used presentation context {context_id}, which was not accepted")
        return self._proposed[context_id].sop_class_uid, syntax

    def request(self, context_id: int, elements: Elements, content: bytes = b"") -> int:
        """Send a request with its data set; return its message id."""
        self._message_id = self._message_id % 65535 + 1
        kind = {command_set.DATA_SET_TYPE: 1 if content else command_set.NO_DATA_SET}
        self._send_command(context_id, command_set.encode({**elements, command_set.MESSAGE_ID: self._message_id, **kind}))
        for pdu in upper_layer.data_pdus(context_id, content, self._fragment):
            self._send(pdu)
        return self._message_id

    def respond(self, message: Message, status: int, comment: str = "", beside: Elements | None = None) -> None:
        """Answer a request of the peer's, without a data set."""
        self._send_command(message.context_id, command_set.response(message.command, status, comment, beside))

    def speaks_within(self, seconds: float) -> bool:
        """Whether the peer sends anything, its end of the association included, within that time."""
        return speaks_within(self._socket, seconds)

    def next_message(self, sink_for: Callable[[int, Command], Sink | None] = lambda *_: None) -> Message:
        """The peer's next message.

        Parameters
        ----------
        sink_for
            Called with presentation context id and command before a data set comes; gives what takes it, or None.

        Raises
        ------
        AssociationLost
            Where none comes, or what comes is not DICOM.
        """
        try:
            return self._message(sink_for)
        except NotUnderstood as broken:
            self.abort()
            raise AssociationLost(f"{self.peer} sent what is not DICOM: {broken}") from broken

    def _message(self, sink_for: Callable[[int, Command], Sink | None]) -> Message:
        encoded, content = bytearray(), bytearray()
        command: Command | None = None
        sink: Sink | None = None
        while True:
            for context_id, control, fragment in self._data_values():
                last = control & upper_layer.LAST
                if control & upper_layer.COMMAND:
                    encoded += fragment
                    if len(encoded) > command_set.LONGEST or command is not None:
                        raise NotUnderstood("a command within a data set, or one without end")
                    if last:
                        command = command_set.decode(bytes(encoded))
                        if not command.has_data_set:
                            return Message(context_id, command)
                        sink = sink_for(context_id, command)
                    continue
                if command is None:
                    raise NotUnderstood("a data set without its command")
                if sink is not None:
                    sink.write(fragment)
                elif len(content) + len(fragment) > _LONGEST_DATA_SET:
                    raise NotUnderstood(f"a data set longer than {_LONGEST_DATA_SET} bytes")
                else:
                    content += fragment
                if last:
                    return Message(context_id, command, bytes(content))

    def _data_values(self) -> Sequence[tuple[int, int, memoryview]]:
        kind, body = self._receive()
        if kind == upper_layer.P_DATA_TF:
            return list(upper_layer.data_values(memoryview(body)))
        if kind == upper_layer.A_RELEASE_RQ:
            self._send(upper_layer.RELEASE_REPLY)
        self.abort()
        raise AssociationLost(f"{self.peer} ended the association")


def plain(sop_class_uid: str, *, as_scp: bool = False) -> Context:
    """A context for messages of a SOP class."""
    return Context(sop_class_uid, PLAIN, as_scp)
