"""The API that kubectl speaks: discovery, objects, watches and logs, over HTTPS with a token."""

from __future__ import annotations

import copy
import hashlib
import hmac
import http.server
import json
import re
import secrets
import ssl
import time
import traceback
import urllib.parse
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any

from wsdeploy_sandbox.cluster import admission, controllers, discovery, kubelet, ownership
from wsdeploy_sandbox.cluster.admission import Refused
from wsdeploy_sandbox.cluster.selectors import matches_fields, matches_labels
from wsdeploy_sandbox.cluster.store import (
    RESOURCES,
    Object,
    Resource,
    Store,
    key_of,
    now,
)

PATCHES: Mapping[str, Callable[[Any, Any], Any]] = {
    "application/merge-patch+json": ownership.merge_patch,
    "application/strategic-merge-patch+json": ownership.strategic,
    "application/json-patch+json": ownership.json_patch,
}
APPLY = "application/apply-patch+yaml"
PLACE = re.compile(
    r"/(?:api|apis/(?P<group>[^/]+))/(?P<version>v[^/]+)"
    r"(?:/namespaces/(?P<namespace>[^/]+)(?=/))?/(?P<plural>[^/]+)(?:/(?P<name>[^/]+))?"
    r"(?:/(?P<sub>[^/]+))?"
)
WATCHED = 600.0
"""Seconds after which a watch ends unless its client has said."""


def status(code: int, reason: str, message: str, causes: list[Object] | None = None) -> Object:
    """Return what tells a client that its request has failed."""
    details = {"causes": causes} if causes else {}
    return {
        "apiVersion": "v1",
        "kind": "Status",
        "status": "Failure",
        "message": message,
        "reason": reason,
        "details": details,
        "code": code,
    }


class Server(http.server.ThreadingHTTPServer):
    """The API on an address, with a certificate."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, address: str, pair: Path, token: str, store: Store) -> None:
        super().__init__((address, 6443), Handler)
        self.store, self.token = store, token
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pair)
        self.socket = context.wrap_socket(
            self.socket, server_side=True, do_handshake_on_connect=False
        )


class Handler(http.server.BaseHTTPRequestHandler):
    """A connection of a client."""

    protocol_version = "HTTP/1.1"
    server: Server
    disable_nagle_algorithm = True

    def log_message(self, *_: Any) -> None:
        """Say nothing: the journal has what goes wrong."""

    def do_GET(self) -> None:  # noqa: D102
        self._answer()

    do_POST = do_PUT = do_PATCH = do_DELETE = do_GET  # noqa: N815

    def _answer(self) -> None:
        length = int(self.headers.get("Content-Length", 0))
        body = self.rfile.read(length)
        given = self.headers.get("Authorization", "")
        if not hmac.compare_digest(given, f"Bearer {self.server.token}"):
            self._send(401, status(401, "Unauthorized", "Unauthorized"))
            return
        address = urllib.parse.urlsplit(self.path)
        query = dict(urllib.parse.parse_qsl(address.query, keep_blank_values=True))
        try:
            # Who names no manager is known by its program.
            agent = self.headers.get("User-Agent", "unknown").partition("/")[0]
            request = Request(self.server.store, self.command, address.path, query, agent=agent)
            kind = self.headers.get("Content-Type", "").partition(";")[0]
            answer = request.answer(kind, body)
        except Refused as error:
            self._send(
                error.code, status(error.code, error.reason, str(error), error.causes or None)
            )
        except ownership.Conflict as error:
            causes = [
                {"reason": "FieldManagerConflict", "message": who, "field": field}
                for who, field in error.causes
            ]
            self._send(409, status(409, "Conflict", str(error), causes))
        except Exception as error:
            traceback.print_exc()
            self._send(500, status(500, "InternalError", repr(error)))
        else:
            if isinstance(answer, Iterator):
                self._stream(answer)
            else:
                self._send(*answer)

    def _send(self, code: int, answer: Object | str) -> None:
        text = answer if isinstance(answer, str) else json.dumps(answer)
        data = text.encode()
        self.send_response(code)
        kind = "text/plain" if isinstance(answer, str) else "application/json"
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _stream(self, parts: Iterator[str]) -> None:
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", "application/json")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        try:
            for part in parts:
                data = part.encode()
                if data:
                    self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
                    self.wfile.flush()
            self.wfile.write(b"0\r\n\r\n")
        except OSError:
            self.close_connection = True


Answer = tuple[int, Object | str]


@dataclass(frozen=True)
class Place:
    """What a path leads to: objects of a kind, one of them, or a part of it."""

    resource: Resource
    namespace: str | None
    name: str
    sub: str


def _place(path: str) -> Place:
    found = PLACE.fullmatch(path)
    if found:
        version = f"{found['group']}/{found['version']}" if found["group"] else found["version"]
        for it in RESOURCES:
            if (it.version, it.plural) == (version, found["plural"]):
                return Place(it, found["namespace"], found["name"] or "", found["sub"] or "")
    raise Refused(404, "NotFound", "the server could not find the requested resource")


def _patched(content_type: str, live: Object, patch: Any) -> Object:
    if content_type not in PATCHES:
        raise Refused(415, "UnsupportedMediaType", f"{content_type} is not supported")
    try:
        new: Object = PATCHES[content_type](copy.deepcopy(live), patch)
    except (LookupError, ValueError) as error:
        raise Refused(422, "Invalid", f"the patch can't be applied: {error}") from None
    return new


class Request:
    """A request: what is asked for, and of which objects."""

    def __init__(
        self, store: Store, method: str, path: str, query: Mapping[str, str], *, agent: str
    ) -> None:
        self.store, self.method, self.path, self.query = store, method, path.rstrip("/"), query
        self.dry = query.get("dryRun") == "All"
        self.manager = query.get("fieldManager") or agent

    def answer(self, content_type: str, body: bytes) -> Answer | Iterator[str]:
        """Return status and content, or parts of a content that goes on. Raises Refused."""
        if (found := discovery.answer(self.path)) is not None:
            return 200, found
        if self.path in ("/healthz", "/readyz", "/livez"):
            return 200, "ok"
        if self.path.endswith("/selfsubjectaccessreviews"):
            return 201, {**_load(body), "status": {"allowed": True}}
        place = _place(self.path)
        if place.name:
            return self._object(place, content_type, body)
        return self._collection(place.resource, place.namespace, body)

    # ---- many objects ----

    def _collection(
        self, resource: Resource, namespace: str | None, body: bytes
    ) -> Answer | Iterator[str]:
        if self.method == "POST":
            value = _load(body)
            value["metadata"].setdefault("namespace", namespace)
            if not resource.namespaced:
                value["metadata"].pop("namespace", None)
            return 201, self._create(resource, value)
        if self.method == "DELETE":
            for each in self._listed(resource, namespace):
                self._delete(resource, each, {})
        if self.query.get("watch") in ("1", "true"):
            return self._watch(resource, namespace)
        with self.store.lock:
            items = self._listed(resource, namespace)
            revision = str(self.store.revision)
        head = {"apiVersion": resource.version, "kind": f"{resource.kind}List"}
        return 200, {**head, "metadata": {"resourceVersion": revision}, "items": items}

    def _listed(self, resource: Resource, namespace: str | None) -> list[Object]:
        found = self.store.list(resource.kind, namespace if resource.namespaced else None)
        return [each for each in found if self._wanted(each)]

    def _wanted(self, value: Object) -> bool:
        labels = value["metadata"].get("labels", {})
        try:
            return matches_labels(self.query.get("labelSelector", ""), labels) and matches_fields(
                self.query.get("fieldSelector", ""), value
            )
        except ValueError as error:
            raise Refused(400, "BadRequest", str(error)) from None

    def _watch(self, resource: Resource, namespace: str | None) -> Iterator[str]:
        end = time.monotonic() + float(self.query.get("timeoutSeconds", WATCHED))
        with self.store.lock:
            seen = int(self.query.get("resourceVersion") or 0)
            first = self._listed(resource, namespace)
            if seen == 0 or self.query.get("sendInitialEvents") == "true":
                seen = self.store.revision
            else:
                first = []
        yield from (_event("ADDED", each) for each in first)
        if self.query.get("sendInitialEvents") == "true":
            yield _event("BOOKMARK", self._bookmark(resource, seen))
        while time.monotonic() < end:
            self.store.wait(seen, 1.0)
            for change in self.store.since(seen):
                seen, value = change.revision, change.object
                mine = value["kind"] == resource.kind
                here = namespace in (None, value["metadata"].get("namespace"))
                if mine and here and self._wanted(value):
                    yield _event(change.type, value)

    @staticmethod
    def _bookmark(resource: Resource, revision: int) -> Object:
        mark = {"k8s.io/initial-events-end": "true"}
        meta = {"resourceVersion": str(revision), "annotations": mark}
        return {"apiVersion": resource.version, "kind": resource.kind, "metadata": meta}

    # ---- one object ----

    def _object(self, place: Place, content_type: str, body: bytes) -> Answer | Iterator[str]:
        resource, sub = place.resource, place.sub
        with self.store.lock:
            live = self.store.get(resource.kind, place.namespace or "", place.name)
            if self.method == "PATCH" and content_type == APPLY and not sub:
                return self._apply(live, _load(body))
            if live is None:
                what = f"{resource.plural}{f'.{resource.group}' if resource.group else ''}"
                raise Refused(404, "NotFound", f'{what} "{place.name}" not found')
            if sub == "log":
                return self._log(live)
            return 200, self._changed(place, live, content_type, body)

    def _changed(self, place: Place, live: Object, content_type: str, body: bytes) -> Object:
        """Return an object after what is asked for."""
        if place.sub == "scale":
            return self._scale(live, content_type, body)
        if place.sub == "eviction":
            controllers.delete_pod(self.store, live, None)
            return {"apiVersion": "v1", "kind": "Status", "status": "Success"}
        match self.method:
            case "GET":
                return live
            case "DELETE":
                return self._delete(place.resource, live, _load(body) if body else {})
            case "PUT":
                return self._replace(live, _load(body), place.sub)
        return self._replace(live, _patched(content_type, live, _load(body)), place.sub)

    def _create(self, resource: Resource, value: Object) -> Object:
        with self.store.lock:
            meta = value["metadata"]
            if "generateName" in meta and "name" not in meta:
                meta["name"] = meta["generateName"] + secrets.token_hex(3)
            if self.store.get(*key_of(value)) is not None:
                message = f'{resource.plural} "{meta["name"]}" already exists'
                raise Refused(409, "AlreadyExists", message)
            if (asked := meta.get("namespace")) and not self.store.get("Namespace", "", asked):
                raise Refused(404, "NotFound", f'namespaces "{asked}" not found')
            meta.pop("managedFields", None)
            admission.admit(self.store, None, value)
            ownership.updated(None, value, self.manager, now())
            return self._stored(None, value)

    def _apply(self, live: Object | None, applied: Object) -> Answer:
        namespace = applied["metadata"].get("namespace")
        if namespace and not self.store.get("Namespace", "", namespace):
            raise Refused(404, "NotFound", f'namespaces "{namespace}" not found')
        for name in ("managedFields", "resourceVersion", "uid", "creationTimestamp"):
            applied["metadata"].pop(name, None)
        applied.pop("status", None)
        admission.encode_secret(applied)
        force = self.query.get("force") == "true"
        new = ownership.apply(live, applied, self.manager, now(), force=force)
        admission.admit(self.store, live, new)
        return 201 if live is None else 200, self._stored(live, new)

    def _replace(self, live: Object, new: Object, sub: str) -> Object:
        given = new["metadata"].get("resourceVersion")
        if given and given != live["metadata"]["resourceVersion"]:
            name = new["metadata"]["name"]
            message = f'Operation cannot be fulfilled on "{name}": the object has been modified'
            raise Refused(409, "Conflict", message)
        if sub == "status":
            new = {**live, "status": new.get("status", {})}
        elif "status" in live:
            new["status"] = live["status"]
        new["metadata"] = {**new["metadata"], "uid": live["metadata"]["uid"]}
        admission.admit(self.store, live, new)
        ownership.updated(live, new, self.manager, now())
        return self._stored(live, new)

    def _stored(self, live: Object | None, new: Object) -> Object:
        if self.dry:
            return {**(live or {}), **new}
        if live is None:
            return self.store.create(new)
        return self.store.update(new)

    def _delete(self, resource: Resource, live: Object, options: Object) -> Object:
        wanted = options.get("preconditions", {}).get("resourceVersion")
        if wanted and wanted != live["metadata"]["resourceVersion"]:
            raise Refused(409, "Conflict", "Precondition failed: ResourceVersion")
        if self.dry or "All" in options.get("dryRun", ()):
            return live
        if resource.kind == "Pod":
            asked = options.get("gracePeriodSeconds", self.query.get("gracePeriodSeconds"))
            grace = None if asked is None else int(asked)
            return controllers.delete_pod(self.store, live, grace) or live
        if resource.kind == "Namespace":
            for each in RESOURCES:
                for value in self.store.list(each.kind, live["metadata"]["name"]):
                    self._delete(each, value, {})
        self.store.remove(*key_of(live))
        return live

    def _scale(self, live: Object, content_type: str, body: bytes) -> Object:
        meta = live["metadata"]

        def scale(of: Object) -> Object:
            labels = of["spec"]["selector"]["matchLabels"].items()
            selector = ",".join(f"{name}={value}" for name, value in labels)
            return {
                "apiVersion": "autoscaling/v1",
                "kind": "Scale",
                "metadata": {n: meta[n] for n in ("name", "namespace", "uid", "resourceVersion")},
                "spec": {"replicas": of["spec"]["replicas"]},
                "status": {"replicas": of["status"].get("replicas", 0), "selector": selector},
            }

        if self.method == "GET":
            return scale(live)
        wanted = _load(body)
        if self.method == "PATCH":
            wanted = _patched(content_type, scale(live), wanted)
        new = copy.deepcopy(live)
        new["spec"]["replicas"] = wanted["spec"]["replicas"]
        new["metadata"]["resourceVersion"] = wanted["metadata"].get("resourceVersion")
        return scale(self._replace(live, new, ""))

    def _log(self, pod: Object) -> Answer | Iterator[str]:
        wanted = self.query.get("container") or pod["spec"]["containers"][0]["name"]
        statuses = pod.get("status", {}).get("containerStatuses", ())
        restarts = next((it["restartCount"] for it in statuses if it["name"] == wanted), 0)
        number = restarts - (self.query.get("previous") == "true")
        path = kubelet.log_path(pod["metadata"]["uid"], wanted, number)
        if not path.exists():
            reason = f'container "{wanted}" in pod "{pod["metadata"]["name"]}" is waiting to start'
            raise Refused(400, "BadRequest", reason)
        lines = kubelet.read_log(path)
        if "tailLines" in self.query:
            lines = lines[max(0, len(lines) - int(self.query["tailLines"])) :]
        if self.query.get("follow") == "true":
            return self._follow(pod, path, lines)
        return 200, "".join(f"{line}\n" for line in lines)

    def _follow(self, pod: Object, path: Path, lines: list[str]) -> Iterator[str]:
        given = len(kubelet.read_log(path))
        yield "".join(f"{line}\n" for line in lines)
        while self.store.get(*key_of(pod)) is not None:
            time.sleep(0.2)
            found = kubelet.read_log(path)
            yield "".join(f"{line}\n" for line in found[given:])
            given = len(found)


def _event(kind: str, value: Object) -> str:
    return json.dumps({"type": kind, "object": value}) + "\n"


def _load(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        digest = hashlib.sha256(body).hexdigest()[:8]
        raise Refused(400, "BadRequest", f"the body ({digest}) is not JSON") from None
