"""``overread fetch``: a study from an archive, by Query/Retrieve."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from node.commands.options import ConfigOption, DataOption, settings_of_node

if TYPE_CHECKING:
    from node.store.peers import Archive
    from node.store.settings import Settings

app = typer.Typer()


@app.command()
def fetch(
    source: Annotated[str, typer.Option("--from", metavar="NAME", help="Name of an archive of overread.toml.")],
    study: Annotated[str | None, typer.Option("--study", metavar="UID", help="Study Instance UID.")] = None,
    accession: Annotated[str | None, typer.Option("--accession", help="Accession Number, exactly.")] = None,
    patient: Annotated[str | None, typer.Option("--patient", help="Patient ID, exactly: all studies of one patient.")] = None,
    config: ConfigOption = None,
    data: DataOption = None,
) -> None:
    """Let an archive send a study to this node, and compare what it has with what arrived."""
    from node.query.fetch import Fetcher
    from node.store.catalog.catalog import open_catalog
    from node.store.errors import ConfigurationError, OverreadError
    from node.store.log import configure_logging

    configure_logging()
    settings = settings_of_node(config, data)
    archive = settings.archive(source)
    if archive is None:
        known = ", ".join(one.name for one in settings.archives) or "none is configured"
        raise ConfigurationError(f"there is no archive {source}: {known}")
    catalog = open_catalog(settings)
    whole = True
    try:
        fetcher = Fetcher(settings, catalog.intake, catalog.commitments)
        for uid in _studies(settings, archive, study, accession, patient):
            try:
                fetched = fetcher.fetch(archive, uid)
            except OverreadError as fault:
                typer.echo(f"{uid}: {fault}", err=True)
                whole = False
            else:
                typer.echo(str(fetched))
                if catalog.fetches.read_after_all(uid):
                    typer.echo(f"{uid} was here as a prior; it is read now")
                whole &= fetched.whole
    finally:
        catalog.close()
    if not whole:
        raise typer.Exit(1)


def _studies(settings: Settings, archive: Archive, study: str | None, accession: str | None, patient: str | None) -> list[str]:
    """The studies that are meant; exactly one of the three says which."""
    from node.query.matches import studies_with
    from node.store.errors import ConfigurationError, Permanent
    from node.store.spool import check_uid

    keys = {"AccessionNumber": accession, "PatientID": patient}
    given = {keyword: value for keyword, value in keys.items() if value is not None}
    if len(given) + (study is not None) != 1:
        raise ConfigurationError("name one of --study, --accession and --patient")
    if study is not None:
        return [check_uid(study)]
    matches = studies_with(archive, settings.ae_title, given)
    if not matches:
        raise Permanent(f"{archive.name} has no study with this {' or '.join(given)}")
    return [match.study_uid for match in matches]
