from __future__ import annotations

import re
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.store.destinations import Destination, FhirDestination, FolderDestination, Hl7Destination, WebDestination
from node.store.endpoint import Endpoint
from node.store.errors import ConfigurationError
from node.store.peers import check_ae_title
from node.store.settings import Limits, Route, Settings, dump_settings, load_settings, parse_destination, parse_peer
from node.store.sources import Source


def load(tmp_path: Path, text: str) -> Settings:
    path = tmp_path / "overread.toml"
    path.write_text(text)
    return load_settings(path, environment={})


def test_the_defaults_need_no_file() -> None:
    assert load_settings(environment={}) == Settings()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('ae_titel = "X"', "unknown key ae_titel, did you mean ae_title?"),
        ("[limits]\nleese_s = 3", "unknown key limits.leese_s, did you mean lease_s?"),
        ('[[destinations]]\nname="a"\nae_title="A"\nhost="h"\nprot=1', "did you mean port?"),
        ('[[destinations]]\nname="a"\nurl="https://a"\ntoken="x"', "unknown key destinations.0.token, did you mean token_file?"),
        ('[[destinations]]\nname="a"\nurl="archive"', "destinations.0.url: url must begin with https://"),
        ('[[destinations]]\nname="a"\nfolder="/x"\nkind=[]', "did you mean kinds?"),
        (
            '[[destinations]]\nname="a"\nfolder="/x"\ntransfer_syntaxes=["rle", "jpeg-ls"]',
            "destinations.0.transfer_syntaxes: transfer_syntaxes says rle, jpeg-ls, which hold no reports: add 'explicit'",
        ),
        ('[[destinations]]\nname="a"\nfolder="/x"\ntransfer_syntaxes=["made","made"]', "names one twice: name each once"),
        ('[[destinations]]\nname="a"\nfolder="/x"\ntransfer_syntaxes=["jpeg"]', "Input should be 'made', 'explicit'"),
        ("xyzzy = 1", "unknown key xyzzy, see docs/configuration.md"),
        ('accept = "listed"', 'accept = "listed" needs sources'),
        ('[[sources]]\nae_title="A"\nhost=["h"]', "unknown key sources.0.host, did you mean hosts?"),
        ('[[sources]]\nae_title="A"\nhosts=["10.0.0.300"]', "is no address"),
        ('[[destinations]]\nname="a"\nae_title="A"\nhost="h"\nport=1\nca="ca.pem"', "ca needs tls = true"),
        ('[[destinations]]\nname="a"\nae_title="A"\nhost="h"\nport=1\ntls=true\nkey="k"', "certificate and key belong together"),
        ('[[destinations]]\nname="a"\nae_title="A"\nhost="h"\nport=1\ntls=true\nverify_host=false', "needs ca: anybody has"),
        ('[[sources]]\nae_title="A"\ncertificate="ct-1"', "certificate of a source needs [tls] with client_ca"),
        ('[tls]\ncertificate="c.pem"', "tls.key: Field required"),
        (
            '[[sources]]\nae_title="A"\nreport_to={host="h",port=1,tlsname="x"}',
            "unknown key sources.0.report_to.tlsname, did you mean tls_name?",
        ),
        ('[[sources]]\nae_title="A"\nreport_to="h"', "'h' is not HOST:PORT"),
        ('[tls]\ncertificat="c.pem"\nkey="k.pem"', "unknown key tls.certificat, did you mean certificate?"),
        ("quiet_s = -1", "quiet_s: Input should be greater than 0"),
        ("port = 70000", "port: "),
        ('ae_title = "SEVENTEEN LETTERS"', "is not an AE title"),
        ("= 3", "is not valid TOML"),
        ('[[routes]]\nname="r"\ndestinations=["pasc"]', "route r names destination pasc, there is none of that name"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load(tmp_path, text)
    assert says in str(caught.value)
    assert str(tmp_path) in str(caught.value)


def test_two_destinations_of_one_name_are_refused() -> None:
    one = Destination(name="pacs", ae_title="A", host="h", port=1)
    with pytest.raises(ValueError, match="two destinations are named pacs"):
        Settings(destinations=(one, one))


@pytest.mark.parametrize(
    ("retention", "says"),
    [
        ("originals_days = 30\nresults_days = 7", "results_days must not be less"),
        ("keep_free_mb = 500", "retention.keep_free_mb must be more than limits.disk_reserve_mb (500)"),
        ("original_days = 30", "unknown key retention.original_days, did you mean originals_days?"),
        ("originals_days = 0", "retention.originals_days"),
    ],
)
def test_a_retention_that_cannot_be_meant_is_refused(tmp_path: Path, retention: str, says: str) -> None:
    config = tmp_path / "overread.toml"
    config.write_text(f"[retention]\n{retention}\n")
    with pytest.raises(ConfigurationError, match=re.escape(says)):
        load_settings(config, environment={})


def test_a_route_that_misspells_a_destination_is_told_the_nearest() -> None:
    there = Destination(name="pacs", ae_title="A", host="h", port=1)
    with pytest.raises(ValueError, match=r"names destination pasc, did you mean pacs\?"):
        Settings(destinations=(there,), routes=(Route(name="r", destinations=("pasc",)),))


def test_a_file_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"nothing.toml cannot be read: No such file"):
        load_settings(tmp_path / "nothing.toml", environment={})


def test_a_file_that_holds_no_table_is_refused(tmp_path: Path) -> None:
    (tmp_path / "list.json").write_text("[]")
    with pytest.raises(ConfigurationError, match="must hold a table"):
        load_settings(tmp_path / "list.json", environment={})


def test_flags_win_over_the_environment_and_that_over_the_file(tmp_path: Path) -> None:
    path = tmp_path / "o.toml"
    path.write_text('data = "file"\nport = 1000\nae_title = "FILE"\nmirror = "file"')
    settings = load_settings(path, {"data": Path("flag"), "port": None}, {"OVERREAD_DATA": "env", "OVERREAD_MIRROR": "env"})
    assert (settings.data, settings.mirror, settings.port, settings.ae_title) == (Path("flag"), Path("env"), 1000, "FILE")
    assert load_settings(None, {}, {"OVERREAD_CONFIG": str(path)}).ae_title == "FILE"


def test_destinations_by_flag_stand_beside_the_files(tmp_path: Path) -> None:
    path = tmp_path / "o.toml"
    text = '[[destinations]]\nname="{0}"\nae_title="{0}"\nhost="h"\nport=1\n'
    path.write_text(text.format("one") + text.format("two") + '[[routes]]\nname="r"\ndestinations=["three"]')
    given_ = [parse_destination("two=OTHER@10.0.0.1:104"), parse_destination("three=THREE@10.0.0.1:104")]
    settings = load_settings(path, environment={}, destinations=given_)
    assert [(one.name, one.ae_title) for one in settings.destinations] == [("one", "one"), ("two", "OTHER"), ("three", "THREE")]


def test_what_was_dumped_is_loaded(tmp_path: Path) -> None:
    settings = Settings(
        data=tmp_path / "d",
        mirror=tmp_path / "m",
        sources=(Source(ae_title="CT1", quiet_s=3),),
        destinations=(Destination(name="pacs", ae_title="PACS 1", host="::1", port=104, kinds=("seg",)),),
        routes=(Route(name="r", models=(), destinations=("pacs",)),),
        limits=Limits(lease_s=5),
    )
    dump_settings(settings, tmp_path / "s.json")
    assert load_settings(tmp_path / "s.json", environment={}) == settings
    assert stat.S_IMODE((tmp_path / "s.json").stat().st_mode) == 0o600


@given(
    st.text(alphabet=st.characters(min_codepoint=0x21, max_codepoint=0x7E, exclude_characters="\\@="), min_size=1, max_size=16),
    st.sampled_from(["localhost", "10.0.0.5", "[::1]", "pacs.example.org"]),
    st.integers(1, 65535),
)
def test_a_peer_is_read_as_it_is_written(ae_title: str, host: str, port: int) -> None:
    peer = parse_peer(f"{ae_title}@{host}:{port}")
    assert (peer.ae_title, peer.host, peer.port) == (ae_title, host.strip("[]"), port)


@pytest.mark.parametrize(
    "text", ["", "PACS", "PACS@host", "@host:1", "PACS@host:0", "PACS@host:99999", "x=PACS@host:1", "A@b@c:1"]
)
def test_what_is_no_peer_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError):
        parse_peer(text)


def test_a_destination_without_a_name_has_its_ae_titles() -> None:
    assert parse_destination("PACS@h:104").name == "PACS"
    assert parse_destination("main=PACS@h:104").name == "main"
    assert parse_destination("web=https://archive/dicom-web") == WebDestination(name="web", url="https://archive/dicom-web")
    assert parse_destination("share=/mnt/results") == FolderDestination(name="share", folder=Path("/mnt/results"))
    assert parse_destination("ris=mllp://h:2575") == Hl7Destination(name="ris", mllp=Endpoint(host="h", port=2575))
    assert parse_destination("ehr=fhir+https://fhir/r4/") == FhirDestination(name="ehr", fhir="https://fhir/r4")
    with pytest.raises(ConfigurationError, match="is not NAME=AET@HOST:PORT"):
        parse_destination("PACS")


@pytest.mark.parametrize("title", ["A", "A B", "OVERREAD", "X" * 16, "~!#"])
def test_ae_titles(title: str) -> None:
    assert check_ae_title(title) == title


@pytest.mark.parametrize("title", ["", " A", "A ", "A\\B", "X" * 17, "Ä", "A\n", "\x00"])
def test_no_ae_titles(title: str) -> None:
    with pytest.raises(ValueError, match="is not an AE title"):
        check_ae_title(title)


def test_settings_do_not_change() -> None:
    with pytest.raises(ValueError, match="frozen"):
        Settings().port = 1  # type: ignore[misc]
    assert Settings(data=Path("d")).spool == Path("d/spool")
    assert Settings(data=Path("d")).cache == Path("d/cache")
    assert Settings().destination("none") is None
