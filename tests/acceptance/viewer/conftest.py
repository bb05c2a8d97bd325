"""A whole node that reads drawn studies and delivers to an Orthanc, and a browser with OHIF on that Orthanc."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from models.manifest import library_folder, read_manifest
from models.weights import ensure_weights
from node.store.errors import DownloadFailed
from tests.acceptance.viewer.browser import running_browser
from tests.acceptance.viewer.ohif import Ohif
from tests.acceptance.viewer.rig import DICOMWEB_PLUGIN, chromium, installed, node_js
from tests.acceptance.viewer.studies import Study
from tests.integration.node_under_test import Node, running_node
from tests.integration.orthanc_peer import Orthanc, running_orthanc
from tests.research import RESEARCH

READ_S = 300.0

_TABLES = """[[destinations]]
name = "viewer"
ae_title = "ORTHANC"
host = "127.0.0.1"
port = {port}
profile = "ohif"
[[routes]]
name = "skin is read where a route says so"
when = "modality in ['XC', 'DMS']"
models = ["skin-7"]
destinations = ["viewer"]
[[routes]]
name = "all else"
destinations = ["viewer"]
"""


@dataclass(frozen=True, slots=True)
class Site:
    """A hospital of one node, one archive and one viewer."""

    node: Node
    orthanc: Orthanc
    ohif: Ohif

    def send(self, study: Study) -> None:
        """The archive has the images, and the node is sent them."""
        self.orthanc.take(*study.paths)
        verdicts = self.node.send(study.paths)
        assert all(one.stored for one in verdicts), verdicts

    def read(self, study: Study) -> list[str]:
        """Wait until the study's results are in the archive; names of the models that answered."""
        found = self.node.finished(study.uid, READ_S)
        return [job["model"] for job in found["jobs"] if job["state"] == "published"]


@pytest.fixture(scope="package")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """The site, with what it needs fetched; skipped with the reason where something is missing."""
    chromium(), node_js(), installed()
    if not DICOMWEB_PLUGIN.exists():
        pytest.skip("needs the Debian package orthanc-dicomweb")
    folder = tmp_path_factory.mktemp("viewer")
    _fetch_weights("brain-mr", folder / "site" / "node" / "data" / "cache")
    with (
        running_orthanc(folder, 11112, Plugins=[str(DICOMWEB_PLUGIN)]) as orthanc,
        running_node(folder / "site", top=f'model_folders = ["{RESEARCH}"]', tables=_TABLES.format(port=orthanc.port)) as node,
        running_browser(folder / "browser", orthanc.http) as browser,
    ):
        yield Site(node, orthanc, Ohif(browser))


def _fetch_weights(model: str, cache: Path) -> None:
    """Weights that are no part of the repository, where they can be had; without them that model gives no answer."""
    cache.mkdir(parents=True)
    try:
        ensure_weights(read_manifest(library_folder() / model), cache, pull=True)
    except DownloadFailed:
        return
