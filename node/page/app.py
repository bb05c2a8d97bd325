"""What the node serves over HTTP: its health, its figures, and a plain page of studies behind a token."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from importlib import resources
from importlib.metadata import version
from typing import Annotated, Final

from fastapi import Depends, FastAPI, Query, Request
from fastapi.exceptions import HTTPException
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from jinja2 import Environment, PackageLoader, StrictUndefined

from node.page.health import PageCatalog, look_after
from node.page.metrics import render
from node.page.token import same_token
from node.page.words import (
    answer_in_brief,
    commitment_in_words,
    deliveries_in_words,
    figures,
    kept_in_words,
    removed_in_words,
    why_unread,
)
from node.store.commitment import CommitmentView
from node.store.log import get_logger
from node.store.records import StudyView
from node.store.settings import Settings
from node.store.states import CommitmentState, StudyState
from node.store.summary import percent

log = get_logger(__name__)

COOKIE: Final = "overread"
STUDIES_A_PAGE: Final = 50
EVENTS_WITHIN: Final = timedelta(days=1)
EVENTS_IN_BRIEF: Final = 5
ALL_EVENTS_WITHIN: Final = timedelta(days=30)
ALL_EVENTS: Final = 300
COMMITMENTS_IN_BRIEF: Final = 5
ALL_COMMITMENTS: Final = 300
HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


class TokenNeeded(HTTPException):
    """The page was asked for without its token."""

    def __init__(self) -> None:
        super().__init__(401, "token needed", {"WWW-Authenticate": "Bearer"})


def create_app(catalog: PageCatalog, settings: Settings, token: str) -> FastAPI:
    """Build the application.

    Parameters
    ----------
    catalog
        What is shown.
    settings
        Where the spool is, which destinations there are.
    token
        Opens the pages: as ``?token=`` once (a cookie keeps it), or as ``Authorization: Bearer``.
    """
    app = FastAPI(title="Overread", version=version("overread"), docs_url=None, redoc_url=None, openapi_url=None)
    app.middleware("http")(_add_headers)
    app.exception_handler(TokenNeeded)(_ask_for_token)
    _serve_figures(app, catalog, settings)
    _serve_pages(app, catalog, settings, _guard(token))
    return app


def _serve_figures(app: FastAPI, catalog: PageCatalog, settings: Settings) -> None:
    @app.get("/healthz")
    def healthz() -> Response:
        health = look_after(catalog, settings)
        return JSONResponse({"ok": health.ok, "faults": health.faults}, status_code=200 if health.ok else 503)

    @app.get("/metrics")
    def metrics() -> Response:
        return Response(render(catalog, settings), media_type="text/plain; version=0.0.4; charset=utf-8")

    @app.get("/style.css")
    def style() -> Response:
        content = resources.files("node.page").joinpath("static/style.css").read_bytes()
        return Response(content, media_type="text/css", headers={"Cache-Control": "max-age=300"})


def _serve_pages(app: FastAPI, catalog: PageCatalog, settings: Settings, guard: Callable[..., None]) -> None:
    @app.get("/", dependencies=[Depends(guard)])
    def index(request: Request, start: Annotated[int, Query(ge=0)] = 0) -> Response:
        if "token" in request.query_params:
            return _remember(request)
        found = catalog.views.studies(limit=STUDIES_A_PAGE + 1, offset=start)
        return _page(
            "studies.html",
            settings=settings,
            studies=found[:STUDIES_A_PAGE],
            unread=_unread(catalog, found[:STUDIES_A_PAGE]),
            start=start,
            later=start + STUDIES_A_PAGE if len(found) > STUDIES_A_PAGE else None,
            earlier=max(start - STUDIES_A_PAGE, 0) if start else None,
            waiting=catalog.outbox.waiting(),
            down=catalog.breakers.all(),
            kept=catalog.views.kept(),
            commitments=() if start else _in_brief(catalog.views.commitments(COMMITMENTS_IN_BRIEF)),
            events=() if start else catalog.views.node_events(datetime.now(UTC) - EVENTS_WITHIN, EVENTS_IN_BRIEF),
            faults=look_after(catalog, settings).faults,
            moving=any(view.state is not StudyState.FINISHED for view in found),
        )

    @app.get("/events", dependencies=[Depends(guard)])
    def events(request: Request) -> Response:
        if "token" in request.query_params:
            return _remember(request)
        found = catalog.views.node_events(datetime.now(UTC) - ALL_EVENTS_WITHIN, ALL_EVENTS)
        return _page("events.html", settings=settings, events=found, days=ALL_EVENTS_WITHIN.days, moving=False)

    @app.get("/commitments", dependencies=[Depends(guard)])
    def commitments(request: Request) -> Response:
        if "token" in request.query_params:
            return _remember(request)
        return _page("commitments.html", settings=settings, commitments=catalog.views.commitments(ALL_COMMITMENTS), moving=False)

    @app.get("/studies/{study_uid}", dependencies=[Depends(guard)])
    def study(request: Request, study_uid: str) -> Response:
        if "token" in request.query_params:
            return _remember(request)
        view = catalog.views.study(study_uid)
        if view is None:
            return _page("missing.html", status=404, settings=settings)
        return _page("study.html", settings=settings, study=view, moving=view.state is not StudyState.FINISHED)


def _in_brief(found: Sequence[CommitmentView]) -> list[CommitmentView]:
    """The requests to commit that wait, and those of late that could not be reported: what a person should see at once."""
    since = datetime.now(UTC) - ALL_EVENTS_WITHIN
    return [one for one in found if one.next_at or (one.state is CommitmentState.FAILED and one.at > since)]


def _unread(catalog: PageCatalog, found: Sequence[StudyView]) -> dict[str, str]:
    """By UID of each study that is finished without a job: why."""
    finished = [one.study_uid for one in found if one.state is StudyState.FINISHED and not one.jobs]
    views = (catalog.views.study(uid) for uid in finished)  # with decisions, which the list leaves out
    return {view.study_uid: why_unread(view) for view in views if view}


def _guard(token: str) -> Callable[[Request], None]:
    def guard(request: Request) -> None:
        kind, _, bearer = request.headers.get("authorization", "").partition(" ")
        for given in (
            request.query_params.get("token"),
            request.cookies.get(COOKIE),
            bearer if kind.lower() == "bearer" else None,
        ):
            if given and same_token(given, token):
                return
        raise TokenNeeded

    return guard


def _remember(request: Request) -> Response:
    """Keep the token that opened the page in a cookie, and take it out of the address."""
    answer = RedirectResponse(request.url.path, status_code=303)
    answer.set_cookie(COOKIE, request.query_params["token"], httponly=True, samesite="lax", secure=request.url.scheme == "https")
    return answer


async def _add_headers(request: Request, handle: Callable[[Request], Awaitable[Response]]) -> Response:
    answer = await handle(request)
    for name, value in HEADERS.items():
        answer.headers.setdefault(name, value)
    return answer


async def _ask_for_token(request: Request, error: Exception) -> Response:  # noqa: ARG001 - starlette's signature
    return _page("closed.html", status=401, settings=None)


def _page(template: str, *, status: int = 200, **values: object) -> HTMLResponse:
    headers = {"WWW-Authenticate": "Bearer"} if status == 401 else None
    return HTMLResponse(_templates().get_template(template).render(values), status_code=status, headers=headers)


def _templates() -> Environment:
    environment = Environment(loader=PackageLoader("node.page"), autoescape=True, undefined=StrictUndefined)
    environment.filters |= {
        "moment": _moment,
        "deliveries": deliveries_in_words,
        "answer": answer_in_brief,
        "figures": figures,
        "percent": percent,
        "removed": removed_in_words,
        "kept": kept_in_words,
        "decided": commitment_in_words,
    }
    return environment


def _moment(at: datetime) -> str:
    return at.astimezone().strftime("%Y-%m-%d %H:%M:%S")
