"""``overread dispatch``: complete studies into jobs, results to their destinations, old files away."""

from __future__ import annotations

import threading
from collections.abc import Callable

import typer

from node.commands.options import ConfigOption, DataOption, settings_from

app = typer.Typer()


@app.command()
def dispatch(config: ConfigOption = None, data: DataOption = None) -> None:
    """Plan studies, wake workers, deliver results, answer for commitments and keep room on the disk, until SIGTERM."""
    import signal

    from models.manifest import read_library
    from node.commitment.registrar import Registrar
    from node.delivery.courier import Courier
    from node.delivery.prover import Prover
    from node.dispatch.dispatcher import Dispatcher
    from node.dispatch.judge import Judge
    from node.dispatch.queue import JobQueue
    from node.dispatch.wishes import Wishes
    from node.query.asker import Asker
    from node.query.errands import Errands
    from node.query.fetch import Fetcher
    from node.retention.keeper import Keeper
    from node.store.catalog.catalog import open_catalog
    from node.store.clock import SystemClock
    from node.store.leftovers import wait_until_clean
    from node.store.log import configure_logging
    from node.store.spool import Spool
    from node.studies.plan import Planner

    configure_logging()
    settings = settings_from(config, data=data)
    planner = Planner(settings, read_library(*settings.all_model_folders))
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    catalog = open_catalog(settings)
    wait_until_clean(Spool(settings.spool))
    with JobQueue(settings) as queue:
        judge = Judge(catalog.worklist, catalog.signals, settings, SystemClock())
        loop = Dispatcher(
            catalog.worklist,
            catalog.intake,
            planner,
            queue,
            judge=judge,
            clock=SystemClock(),
            wish=Wishes(settings, catalog.fetches),
        )
        asker = Asker(settings, judge, catalog.worklist, catalog.signals)
        errands = Errands(settings, catalog.fetches, Fetcher(settings, catalog.intake, catalog.commitments).fetch)
        keeper, registrar = Keeper(settings, catalog, SystemClock()), Registrar(settings, catalog.commitments)
        courier, prover = Courier(settings, catalog), Prover(settings, catalog.proofs, catalog.commitments)
        run_together([loop.run, courier.run, prover.run, keeper.run, registrar.run, asker.run, errands.run], stop)
    catalog.close()


def run_together(loops: list[Callable[[threading.Event], None]], stop: threading.Event) -> None:
    """Run each loop in a thread until `stop` is set; where one breaks, the others end too and its exception is raised.

    A process of which half has died would look well: the supervisor starts a whole one instead.
    """
    broken: list[BaseException] = []

    def guarded(loop: Callable[[threading.Event], None]) -> None:
        try:
            loop(stop)
        except BaseException as fault:  # noqa: BLE001 - raised again below, in the main thread
            broken.append(fault)
        finally:
            stop.set()

    threads = [threading.Thread(target=guarded, args=(loop,), name=f"loop-{number}") for number, loop in enumerate(loops)]
    for thread in threads:
        thread.start()
    for thread in threads:
        while thread.is_alive():
            thread.join(0.5)  # in pieces, so that signals reach the main thread
    if broken:
        raise broken[0]
