"""Clients that knock: open connections, send a request on each, and tell how it was answered.

Needs nothing but Python, since it also runs on hosts. Reads a line of JSON from standard input:

address, domain     where to connect, and the name for TLS
head                what to send, as text
prelude             what to send before TLS, in base64; empty for nothing
times, at_once      how many connections, and how many at the same time
hold                whether those that are answered with 101 stay until standard input ends

Prints a line of JSON when all are answered: `answers` (status to how many; `cut` for none),
`seconds`, and the `first` answer.
"""

import asyncio
import base64
import collections
import json
import socket
import ssl
import sys
import time


async def main() -> None:
    request = json.loads(sys.stdin.readline())
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    answers: collections.Counter[str] = collections.Counter()
    held: list[asyncio.StreamWriter] = []
    turn = asyncio.Semaphore(request["at_once"])
    first = ""

    async def connect() -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        family = socket.AF_INET6 if ":" in request["address"] else socket.AF_INET
        connection = socket.socket(family)
        connection.setblocking(False)
        loop = asyncio.get_running_loop()
        try:
            await loop.sock_connect(connection, (request["address"], 443))
            if prelude := base64.b64decode(request["prelude"]):
                await loop.sock_sendall(connection, prelude)
            return await asyncio.open_connection(
                sock=connection, ssl=context, server_hostname=request["domain"]
            )
        except BaseException:
            connection.close()
            raise

    async def visit() -> None:
        nonlocal first
        writer: asyncio.StreamWriter | None = None
        async with turn:
            try:
                async with asyncio.timeout(60):
                    reader, writer = await connect()
                    writer.write(request["head"].encode())
                    answer = (await reader.readuntil(b"\r\n\r\n")).decode()
            except (OSError, EOFError, TimeoutError) as error:
                answer, status = repr(error), "cut"
            else:
                status = answer.split()[1]
            answers[status] += 1
            first = first or answer
            if status == "101" and request["hold"]:
                assert writer is not None
                held.append(writer)
            elif writer is not None:
                writer.transport.abort()

    begun = time.monotonic()
    await asyncio.gather(*(visit() for _ in range(request["times"])))
    seconds = time.monotonic() - begun
    print(json.dumps({"answers": answers, "seconds": seconds, "first": first}), flush=True)
    if request["hold"]:
        await asyncio.to_thread(sys.stdin.read)
    for writer in held:
        writer.transport.abort()


asyncio.run(main())
