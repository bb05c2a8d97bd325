"""The page's own process: uvicorn on the address that the settings name."""

from __future__ import annotations

import socket

import uvicorn

from node.page.app import create_app
from node.page.health import PageCatalog
from node.page.token import page_token
from node.store.errors import ConfigurationError, Retryable
from node.store.log import get_logger
from node.store.settings import Settings

log = get_logger(__name__)


def parse_http(text: str) -> tuple[str, int]:
    """Read ``HOST:PORT``; brackets around an IPv6 address are taken off.

    Raises
    ------
    ConfigurationError
        Where the text is not of that form.
    """
    host, colon, port = text.rpartition(":")
    if not colon or not host or not port.isdecimal() or int(port) > 65535:
        raise ConfigurationError(f"http: {text!r} is not HOST:PORT, e.g. 127.0.0.1:8042")
    return host.strip("[]"), int(port)


def bind(text: str) -> socket.socket:
    """Take the address; port 0 lets the system choose.

    Raises
    ------
    Retryable
        Where it cannot be had, with the reason.
    """
    host, port = parse_http(text)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listening = socket.create_server((host, port), family=family, backlog=128)
    except OSError as taken:
        raise Retryable(f"the page cannot be served on {text}: {taken.strerror}; choose another with --http HOST:PORT") from taken
    return listening


def serve_page(settings: Settings, catalog: PageCatalog) -> None:
    """Serve until SIGTERM or SIGINT.

    Raises
    ------
    ConfigurationError
        Where the address or the token file is wrong.
    Retryable
        Where the address cannot be had.
    """
    token = page_token(settings.data)
    with bind(settings.http) as listening:
        host, port = listening.getsockname()[:2]
        log.info("page served", host=host, port=port)
        # No access log: it would hold the token of the first visit.
        config = uvicorn.Config(create_app(catalog, settings, token), access_log=False, log_config=None, lifespan="off")
        uvicorn.Server(config).run(sockets=[listening])
