"""Echo server: replace `handler` with your own."""

from wsapp import run


async def handler(websocket):
    """Send every message back."""
    async for message in websocket:
        await websocket.send(message)


if __name__ == "__main__":
    run(handler)
