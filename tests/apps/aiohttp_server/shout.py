"""The handlers: a WebSocket, a page from a file, and the health of the process."""

import asyncio
from pathlib import Path

from aiohttp import WSCloseCode, WSMsgType, web

STATIC = Path(__file__).parent / "static"
OPEN = web.AppKey("open", set)
STOPPING = web.AppKey("stopping", asyncio.Event)


async def shout(request: web.Request) -> web.WebSocketResponse:
    """Answer with the message in capitals."""
    websocket = web.WebSocketResponse()
    await websocket.prepare(request)
    if request.app[STOPPING].is_set():
        # Its handshake was under way when the others were closed.
        await websocket.close(code=WSCloseCode.SERVICE_RESTART)
        return websocket
    request.app[OPEN].add(websocket)
    try:
        async for message in websocket:
            if message.type is WSMsgType.TEXT:
                await websocket.send_str(message.data.upper())
    finally:
        request.app[OPEN].discard(websocket)
    return websocket


async def page(_: web.Request) -> web.FileResponse:
    """Answer with a file that came along with the app."""
    return web.FileResponse(STATIC / "index.html")


async def healthy(_: web.Request) -> web.Response:
    """Say that this process works."""
    return web.Response(text="ok")


async def close_all(app: web.Application) -> None:
    """Close what is open; aiohttp would wait for clients to leave."""
    app[STOPPING].set()
    for websocket in set(app[OPEN]):
        await websocket.close(code=WSCloseCode.SERVICE_RESTART)


def application() -> web.Application:
    """Return the application."""
    app = web.Application()
    app[OPEN] = set()
    app[STOPPING] = asyncio.Event()
    app.on_shutdown.append(close_all)
    app.add_routes(
        [web.get("/", shout), web.get("/page", page), web.get("/healthz", healthy)],
    )
    return app
