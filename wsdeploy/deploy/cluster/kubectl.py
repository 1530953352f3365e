"""kubectl, which knows a user's clusters and how to log in to them.

Objects, which may be secret, go to it over standard input alone.
"""

from __future__ import annotations

import contextlib
import json
import re
import shlex
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pyinfra import logger

from wsdeploy.cluster import complaints
from wsdeploy.cluster.complaints import Why
from wsdeploy.cluster.found import MANAGER, key
from wsdeploy.cluster.manifest import Object
from wsdeploy.plan.summary import readable

ANSWER = 15
"""Seconds for the cluster to answer a question."""
MOST = 120
"""Seconds for kubectl, which may have to log in first."""
SCRIPT = "; is it a script around kubectl?"
OLDEST = (1, 34)
"""The oldest Kubernetes in which a pod's preStop hook can sleep, as ours do."""


class KubectlError(Exception):
    """kubectl failed; the message is a line that says what to do."""

    def __init__(self, line: str, why: Why = "other") -> None:
        super().__init__(line)
        self.why: Why = why


@dataclass(frozen=True)
class Kubectl:
    """kubectl for a namespace of a cluster."""

    namespace: str
    context: str | None = None

    def pinned(self) -> Kubectl:
        """Return it with the context that kubectl has now, whatever another shell chooses later.

        In a pod, there may be none. Raises KubectlError if there is no kubectl.
        """
        if self.context is not None:
            return self
        said = self._run("config", "current-context", none=True).strip()
        return replace(self, context=said or None)

    def version(self) -> None:
        """Check that the cluster answers and is new enough. Raises KubectlError."""
        told = _json(self._run("version", "--output=json"))
        server = told.get("serverVersion") or {}
        numbers = [re.sub(r"\D.*", "", str(server.get(name, ""))) for name in ("major", "minor")]
        if not all(numbers):
            raise KubectlError(f"{self._cluster} does not say which Kubernetes it has")
        if tuple(map(int, numbers)) < OLDEST:
            have, need = ".".join(numbers), ".".join(map(str, OLDEST))
            raise KubectlError(f"{self._cluster} has Kubernetes {have}; {need} is the oldest to do")

    def resources(self) -> set[str]:
        """Return the kinds of objects that the cluster has, as kubectl calls them."""
        words = ("api-resources", "--namespaced=true", "--verbs=list", "--output=name")
        # It fails if one of the cluster's API servers does not answer, such as that of metrics.
        return set(self._run(*words, some=True).split())

    def get(self, kinds: Iterable[str], service: str, *, fields: bool = False) -> list[Object]:
        """Return the objects of a service, by its label. fields: with whose each field is."""
        label = f"--selector=app.kubernetes.io/name={service}"
        more = ("--show-managed-fields",) if fields else ()
        return _items(self._run("get", ",".join(kinds), label, "--output=json", *more))

    def there(self, objects: Sequence[Object]) -> list[Object]:
        """Return those of some objects that are there, whoever has made them."""
        names = [_name_only(each) for each in objects]
        words = ("get", "--filename=-", "--ignore-not-found", "--output=json")
        return _items(self._run(*words, "--show-managed-fields", objects=names))

    def one(self, kind: str, name: str, namespace: str | None = None) -> Object | None:
        """Return an object, or None."""
        words = ("get", kind, name, "--ignore-not-found", "--output=json")
        found = _items(self._run(*words, namespace=namespace))
        return found[0] if found else None

    def apply(self, objects: Sequence[Object], *, dry: bool = False) -> list[Object]:
        """Apply objects, and return them as the cluster has them then. dry: as it would."""
        words = ["apply", "--server-side", f"--field-manager={MANAGER}", "--force-conflicts"]
        # Whoever applies compares; kubectl would fetch all schemas of the cluster first.
        words += ["--validate=false", *(["--dry-run=server"] if dry else [])]
        after = _items(self._run(*words, "--output=json", "--filename=-", objects=objects))
        return _checked(after, objects)

    def create(self, each: Object) -> Object:
        """Create an object, which must not be there."""
        return self._written("create", each)

    def replace(self, each: Object) -> Object:
        """Replace an object, which must be as its resourceVersion says."""
        return self._written("replace", each)

    def _written(self, verb: str, each: Object) -> Object:
        words = (verb, "--validate=false", "--output=json", "--filename=-")
        return _checked(_items(self._run(*words, objects=[each])), [each])[0]

    def delete(self, objects: Sequence[Object]) -> None:
        """Delete objects; those that are gone already will do."""
        if objects:
            names = [_name_only(each) for each in objects]
            self._run("delete", "--filename=-", "--ignore-not-found", "--wait=false", objects=names)

    def logs(self, pod: str, container: str, lines: int, *, previous: bool) -> list[str]:
        """Return the last lines that a container has logged."""
        words = ["logs", pod, f"--container={container}", f"--tail={lines}"]
        return self._run(*words, *(["--previous"] if previous else [])).splitlines()

    def events(self, pod: str) -> list[Object]:
        """Return what has happened to a pod."""
        about = f"--field-selector=involvedObject.kind=Pod,involvedObject.name={pod}"
        return _items(self._run("get", "events", about, "--output=json"))

    @property
    def _cluster(self) -> str:
        return f"the cluster of context {self.context}" if self.context else "the cluster"

    def command(self, words: str) -> str:
        """Return a command of kubectl's for people to type."""
        context = f"--context {shlex.quote(self.context)} " if self.context else ""
        return f"kubectl {context}-n {self.namespace} {words}"

    def _run(
        self,
        *words: str,
        objects: Sequence[Object] | None = None,
        namespace: str | None = None,
        some: bool = False,
        none: bool = False,
    ) -> str:
        """Run kubectl and return what it prints. Raises KubectlError.

        some, none: even if it fails, as long as it prints something, or without that.
        """
        context = [f"--context={self.context}"] if self.context else []
        place = f"--namespace={namespace or self.namespace}"
        command = ["kubectl", *context, place, f"--request-timeout={ANSWER}s", *words]
        logger.debug("--> %s", " ".join(command))
        text = ""
        if objects is not None:
            text = json.dumps({"apiVersion": "v1", "kind": "List", "items": [*objects]})
        try:
            done = subprocess.run(
                command,
                input=text,
                capture_output=True,
                text=True,
                errors="replace",
                check=False,
                timeout=MOST,
                # Ctrl-C is for us: what kubectl has begun it ends.
                start_new_session=True,
            )
        except FileNotFoundError:
            raise KubectlError(
                "kubectl is not on this machine, and nothing else talks to clusters; install it "
                "(apt install kubectl, or https://kubernetes.io/docs/tasks/tools/)"
            ) from None
        except subprocess.TimeoutExpired:
            what = f"kubectl {words[0]} has not ended for {MOST} s; try it by hand"
            raise KubectlError(what, "unreachable") from None
        except OSError as error:
            raise KubectlError(f"kubectl can't be started: {error.strerror}") from None
        if done.returncode and not none and not (some and done.stdout):
            found = complaints.read(done.stderr, self.namespace, self.context)
            raise KubectlError(readable(found.line), found.why)
        return done.stdout


def _json(text: str) -> dict[str, Any]:
    with contextlib.suppress(ValueError, RecursionError):
        told = json.loads(text)
        if isinstance(told, dict):
            return told
    said = readable(text.strip().partition("\n")[0][:80])
    raise KubectlError(f"kubectl said {said!r} where JSON was asked for{SCRIPT}")


def _items(text: str) -> list[Object]:
    """Return the objects of an answer: a list, one object, or none."""
    if not text.strip():
        return []
    told = _json(text)
    found: list[Object] = told.get("items", [told])
    try:
        # Whoever gets them counts on kind and name.
        for each in found:
            key(each)
    except (KeyError, TypeError):
        raise KubectlError(f"kubectl has answered with no objects{SCRIPT}") from None
    return found


def _checked(after: list[Object], objects: Sequence[Object]) -> list[Object]:
    """Return what is there after objects were written. Raises KubectlError if it is not they."""
    if [*map(key, after)] != [*map(key, objects)]:
        raise KubectlError(f"kubectl did not say what has become of all objects{SCRIPT}")
    return after


def _name_only(each: Object) -> Object:
    metadata = {n: each["metadata"][n] for n in ("name", "namespace") if n in each["metadata"]}
    return {"apiVersion": each["apiVersion"], "kind": each["kind"], "metadata": metadata}
