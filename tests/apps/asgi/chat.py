"""An ASGI application without a framework: echo, and the health of the process."""


async def app(scope, receive, send):
    """Serve one connection."""
    if scope["type"] == "http":
        status = 200 if scope["path"] == "/healthz" else 404
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body", "body": b""})
    elif scope["type"] == "websocket":
        await echo(receive, send)


async def echo(receive, send):
    """Send every message back."""
    while (event := await receive())["type"] != "websocket.disconnect":
        if event["type"] == "websocket.connect":
            await send({"type": "websocket.accept"})
        elif event.get("text") is not None:
            await send({"type": "websocket.send", "text": event["text"]})
