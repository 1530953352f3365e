"""Push images to the registry of a sandbox's cluster, by the API that every registry has."""

from __future__ import annotations

import http.client

from wsdeploy.image.build import MANIFEST, BuiltImage
from wsdeploy_sandbox.errors import SandboxError


def push(image: BuiltImage) -> str:
    """Push an image, and return the digest that the registry knows it by. Raises SandboxError.

    What the registry has is not sent again. It has no certificate.
    """
    server, _, rest = image.name.partition("/")
    name, _, tag = rest.rpartition(":")
    connection = http.client.HTTPConnection(server, timeout=60)

    def ask(method: str, path: str, data: bytes = b"", kind: str = "") -> http.client.HTTPResponse:
        headers = {"Content-Type": kind} if kind else {}
        connection.request(method, path, data, headers)
        answer = connection.getresponse()
        text = answer.read()
        if answer.status >= 400 and answer.status != 404:
            raise SandboxError(f"{server} refused {method} {path}: {answer.status} {text[:200]!r}")
        return answer

    try:
        for digest, data in image.blobs.items():
            if ask("HEAD", f"/v2/{name}/blobs/{digest}").status == 404:
                begun = ask("POST", f"/v2/{name}/blobs/uploads/")
                place = str(begun.headers["Location"]).removeprefix(f"http://{server}")
                joined = f"{place}{'&' if '?' in place else '?'}digest={digest}"
                ask("PUT", joined, data, "application/octet-stream")
        done = ask("PUT", f"/v2/{name}/manifests/{tag}", image.manifest, MANIFEST)
        return str(done.headers["Docker-Content-Digest"])
    finally:
        connection.close()


def served(name: str) -> str | None:
    """Return the digest of what a registry has under a name with a tag, or None."""
    server, _, rest = name.partition("/")
    repository, _, tag = rest.rpartition(":")
    connection = http.client.HTTPConnection(server, timeout=60)
    try:
        path = f"/v2/{repository}/manifests/{tag}"
        connection.request("GET", path, headers={"Accept": MANIFEST})
        answer = connection.getresponse()
        answer.read()
        return answer.headers["Docker-Content-Digest"]
    finally:
        connection.close()
