"""dcmtk's storescp with an association profile of the test's choice: an archive that refuses what the profile does not name."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.integration.orthanc_peer import answers, free_port, until

STORESCP = Path("/usr/bin/storescp")


@contextmanager
def storescp(folder: Path, accepts: Mapping[str, tuple[str, ...]]) -> Iterator[int]:
    """Run one that keeps what it takes in `folder`, bit for bit; its port.

    Parameters
    ----------
    accepts
        By SOP Class UID: the UIDs of the transfer syntaxes in which it is taken. Everything else is refused at negotiation.
    """
    if not STORESCP.exists():
        pytest.skip("needs the Debian package dcmtk")
    folder.mkdir(parents=True)
    profile, port = folder.with_suffix(".cfg"), free_port()
    profile.write_text(_profile(accepts))
    words = [str(STORESCP), "-xf", str(profile), "Test", "+B", "+uf", "-od", str(folder), str(port)]
    running = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        until(lambda: answers(port))
        yield port
    finally:
        running.terminate()
        running.wait(30)


def _profile(accepts: Mapping[str, tuple[str, ...]]) -> str:
    lists, contexts = ["[[TransferSyntaxes]]"], ["[[PresentationContexts]]", "[Contexts]"]
    for number, (sop_class, syntaxes) in enumerate(accepts.items(), start=1):
        lists += [f"[List{number}]", *(f"TransferSyntax{place} = {one}" for place, one in enumerate(syntaxes, start=1))]
        contexts.append(f"PresentationContext{number} = {sop_class}\\List{number}")
    return "\n".join([*lists, *contexts, "[[Profiles]]", "[Test]", "PresentationContexts = Contexts", ""])
