"""What the kubelet of a node does: it starts the pods' containers, probes them and ends them."""

from __future__ import annotations

import contextlib
import http.client
import ipaddress
import os
import select
import signal
import socket
import threading
import time
from pathlib import Path
from typing import Any

from wsdeploy_sandbox.cluster import podman
from wsdeploy_sandbox.cluster.podman import PodmanError
from wsdeploy_sandbox.cluster.rollout import condition
from wsdeploy_sandbox.cluster.store import Object, Store, now
from wsdeploy_sandbox.cluster.volumes import Missing, Volumes, contents

PODS = Path("/run/pods")
LOGS = Path("/var/log/pods")
BACK_OFF, BACK_OFF_MOST = 10.0, 300.0
"""Seconds between two attempts to start a container, or to pull its image: twice as many each
time."""
CALM = 600.0
"""Seconds after which a container that ends is no longer one that keeps ending."""
RETRY = 1.0
"""Seconds until what a pod lacks is looked for again."""
REFRESH = 5.0
"""Seconds between two looks at Secrets and ConfigMaps in volumes; a kubelet takes a minute."""
LEAST_GRACE = 2.0
"""Seconds that a container has after its signal, however long its preStop hook took."""
SAID_LAST = 2048
"""Bytes of the log that are shown as the reason why a container ended."""
POLL = 0.1


class Kubelet:
    """The node's pods, each in a thread of its own."""

    def __init__(self, store: Store, node: str, address: str) -> None:
        self.store, self.node, self.address = store, node, address
        self._pods: dict[str, PodRunner] = {}
        network = ipaddress.ip_network(podman.SUBNET)
        self._addresses = [str(each) for each in network.hosts()][1:]

    def run(self) -> None:
        """Start a thread for each new pod, for ever."""
        seen = 0
        while True:
            seen = self.store.wait(seen, 1)
            for pod in self.store.list("Pod"):
                uid = pod["metadata"]["uid"]
                if uid not in self._pods:
                    self._pods[uid] = PodRunner(self, pod)
                    self._pods[uid].start()

    def take_address(self) -> str:
        """Return an address for a pod: that which has been free for longest."""
        with self.store.lock:
            return self._addresses.pop(0)

    def free_address(self, address: str) -> None:
        """Give an address back."""
        with self.store.lock:
            self._addresses.append(address)


class PodRunner(threading.Thread):
    """A pod: its place, its volumes and its containers, until it is deleted."""

    def __init__(self, kubelet: Kubelet, pod: Object) -> None:
        super().__init__(name=pod["metadata"]["name"], daemon=True)
        self.kubelet, self.store, self.pod = kubelet, kubelet.store, pod
        meta = pod["metadata"]
        self.id = f"{meta['namespace']}-{meta['name']}"
        self.address = ""
        self.volumes = Volumes(self.store, pod, PODS / meta["uid"] / "volumes")
        self.containers = [ContainerRunner(self, each) for each in pod["spec"]["containers"]]
        self.started = now()
        self.ending = threading.Event()
        self._publishing = threading.Lock()

    def run(self) -> None:
        """Run the pod from beginning to end."""
        meta = self.pod["metadata"]
        self.event("Scheduled", f"Successfully assigned {meta['name']} to {self.kubelet.node}")
        self.publish()
        if self._prepare():
            for container in self.containers:
                container.start()
        refreshed = time.monotonic()
        while not self._deleted():
            if time.monotonic() > refreshed + REFRESH:
                refreshed = time.monotonic()
                with contextlib.suppress(Missing):
                    self.volumes.refresh()
            self.ending.wait(POLL)
        self.ending.set()
        for container in self.containers:
            container.join_if_started()
        with contextlib.suppress(PodmanError):
            podman.podman("pod", "rm", "--force", "--time", "0", self.id)
        self.volumes.remove()
        if self.address:
            self.kubelet.free_address(self.address)
        self.store.remove("Pod", meta["namespace"], meta["name"])

    def _prepare(self) -> bool:
        """Make volumes and network, or return False if the pod is deleted before they are there."""
        while not self._deleted():
            try:
                self.volumes.refresh()
                self.address = self.kubelet.take_address()
                podman.create_pod(self.id, self.pod, self.address)
                self.publish()
                return True
            except Missing as error:
                self.event("FailedMount", f"MountVolume.SetUp failed: {error}", "Warning")
            except PodmanError as error:
                self.event("FailedCreatePodSandBox", str(error), "Warning")
                with contextlib.suppress(PodmanError):
                    podman.podman("pod", "rm", "--force", "--time", "0", self.id)
                self.kubelet.free_address(self.address)
                self.address = ""
            time.sleep(RETRY)
        return False

    def _deleted(self) -> bool:
        return "deletionTimestamp" in self.current()["metadata"]

    def current(self) -> Object:
        """Return the pod as the store has it now."""
        meta = self.pod["metadata"]
        found = self.store.get("Pod", meta["namespace"], meta["name"])
        return found or {"metadata": {"deletionTimestamp": now(), "deletionGracePeriodSeconds": 0}}

    def grace(self) -> float:
        """Return the seconds that the pod has to end."""
        return float(self.current()["metadata"].get("deletionGracePeriodSeconds", 30))

    def event(self, reason: str, message: str, kind: str = "Normal") -> None:
        """Write an Event about the pod."""
        self.store.record(self.pod, reason, message, kind)

    def publish(self) -> None:
        """Write the pod's status."""
        meta = self.pod["metadata"]
        with self._publishing:
            self.store.change("Pod", meta["namespace"], meta["name"], self._write_status)

    def _write_status(self, pod: Object) -> None:
        before = pod.get("status", {}).get("conditions", [])
        statuses = [container.status() for container in self.containers]
        ready = all(each["ready"] for each in statuses)
        waiting = any(container.runs_never_yet for container in self.containers)
        unready = ", ".join(each["name"] for each in statuses if not each["ready"])
        text = f"containers with unready status: [{unready}]" if unready else ""
        reason = "ContainersNotReady" if unready else ""

        def of(kind: str, status: bool, reason: str = "", text: str = "") -> dict[str, str]:
            return condition(kind, status, (reason, text), now(), before)

        pod["spec"]["nodeName"] = self.kubelet.node
        pod["status"] = {
            "phase": "Pending" if waiting else "Running",
            "conditions": [
                of("PodReadyToStartContainers", bool(self.address)),
                of("Initialized", True),
                of("Ready", ready, reason, text),
                of("ContainersReady", ready, reason, text),
                of("PodScheduled", True),
            ],
            "hostIP": self.kubelet.address,
            "startTime": self.started,
            "qosClass": "Burstable",
            "containerStatuses": statuses,
        }
        if self.address:
            pod["status"] |= {"podIP": self.address, "podIPs": [{"ip": self.address}]}


class ContainerRunner(threading.Thread):
    """A container: started, probed, started again when it ends, and ended with its pod."""

    def __init__(self, runner: PodRunner, spec: Object) -> None:
        super().__init__(name=f"{runner.name}/{spec['name']}", daemon=True)
        self.runner, self.spec = runner, spec
        self.state: Object = {"waiting": {"reason": "ContainerCreating"}}
        self.last: Object = {}
        self.restarts, self.runs_never_yet = -1, True
        self.started_up = self.is_ready = False
        self.image: Object = {}
        self.id = ""
        self._process = -1
        self._kill_because: tuple[str, float] | None = None
        self._wake = threading.Event()

    # ---- what is seen of it ----

    def status(self) -> Object:
        """Return the container's status."""
        return {
            "name": self.spec["name"],
            "state": self.state,
            "lastState": self.last,
            "ready": self.is_ready,
            "started": self.started_up,
            "restartCount": max(0, self.restarts),
            "image": self.spec["image"],
            "imageID": self.image.get("Digest", ""),
            "containerID": f"podman://{self.id}" if self.id else "",
        }

    def log(self) -> Path:
        """Return where the log of the present container is."""
        meta = self.runner.pod["metadata"]
        return log_path(meta["uid"], self.spec["name"], max(0, self.restarts))

    def _waits(self, reason: str, message: str = "") -> None:
        self.state = {"waiting": {"reason": reason} | ({"message": message} if message else {})}
        self.runner.publish()

    def join_if_started(self) -> None:
        """Wait until the container has ended, if it was ever begun with."""
        if self.ident is not None:
            self.join()

    # ---- what it does ----

    def run(self) -> None:
        """Start the container again and again, until its pod ends."""
        delay, pulls = 0.0, BACK_OFF
        ending = self.runner.ending
        while not ending.is_set():
            try:
                self._pull()
                words = self._words()
            except PodmanError as error:
                self._waits("ErrImagePull", str(error))
                self.runner.event("Failed", f"Failed to pull image: {error}", "Warning")
                ending.wait(RETRY)
                self._waits("ImagePullBackOff", f"Back-off pulling image {self.spec['image']!r}")
                ending.wait(pulls)
                pulls = min(pulls * 2, BACK_OFF_MOST)
                continue
            except Missing as error:
                self._waits("CreateContainerConfigError", str(error))
                self.runner.event("Failed", f"Error: {error}", "Warning")
                ending.wait(RETRY)
                continue
            begun = time.monotonic()
            self._run_once(words)
            if ending.is_set():
                break
            delay = 0.0 if time.monotonic() - begun > CALM else delay
            if delay:
                text = f"back-off {delay:g}s restarting failed container={self.spec['name']}"
                self._waits("CrashLoopBackOff", text)
                self.runner.event("BackOff", f"Back-off restarting container: {text}", "Warning")
                ending.wait(delay)
            delay = min(delay * 2 or BACK_OFF, BACK_OFF_MOST)

    def _pull(self) -> None:
        name = self.spec["image"]
        latest = ":" not in name.rpartition("/")[2] or name.endswith(":latest")
        policy = self.spec.get("imagePullPolicy", "Always" if latest else "IfNotPresent")
        if policy == "Always" or (policy == "IfNotPresent" and not podman.has_image(name)):
            self.runner.event("Pulling", f'Pulling image "{name}"')
            podman.podman("pull", "--quiet", name)
            self.runner.event("Pulled", f'Successfully pulled image "{name}"')
        self.image = podman.image(name)
        if problem := podman.non_root_problem(self.runner.pod, self.spec, self.image):
            raise Missing(problem)

    def _words(self) -> list[str]:
        pod = self.runner.pod
        volumes = self.runner.volumes
        mounts = {
            each["name"]: volumes.path(each["name"]) for each in self.spec.get("volumeMounts", ())
        }
        return podman.run_words(pod, self.spec, self.image, self._variables(), mounts)

    def _variables(self) -> dict[str, str]:
        """Return the container's variables. Raises Missing."""
        meta, store = self.runner.pod["metadata"], self.runner.store
        found: dict[str, str] = {}
        for each in self.spec.get("envFrom", ()):
            for kind, field in (("ConfigMap", "configMapRef"), ("Secret", "secretRef")):
                if field in each:
                    values = contents(store, kind, meta["namespace"], each[field]["name"])
                    prefix = each.get("prefix", "")
                    found |= {f"{prefix}{key}": text.decode() for key, text in values.items()}
        for each in self.spec.get("env", ()):
            source: Object = each.get("valueFrom", {})
            if "value" in each:
                found[each["name"]] = podman.expand(each["value"], found)
            for kind, field in (("ConfigMap", "configMapKeyRef"), ("Secret", "secretKeyRef")):
                if field in source:
                    given = source[field]
                    values = contents(store, kind, meta["namespace"], given["name"])
                    if given["key"] not in values:
                        where = f"{kind} {meta['namespace']}/{given['name']}"
                        raise Missing(f"couldn't find key {given['key']} in {where}")
                    found[each["name"]] = values[given["key"]].decode()
            if "fieldRef" in source:
                found[each["name"]] = self._field(source["fieldRef"]["fieldPath"])
        return found

    def _field(self, path: str) -> str:
        runner = self.runner
        at: Any = {**runner.pod, "status": {"podIP": runner.address}}
        for name in path.split("."):
            at = at.get(name, {})
        return str(at)

    def _run_once(self, words: list[str]) -> None:
        """Start the container, and return when it has ended."""
        self.restarts += 1
        self.id = f"{self.runner.id}-{self.spec['name']}-{self.restarts}"
        begun = now()
        try:
            pid = podman.start(self.runner.id, self.id, self.log(), words)
        except PodmanError as error:
            self.runner.event("Failed", f"Error: {error}", "Warning")
            self._ended(128, begun, "StartError", str(error))
            return
        self.runner.event("Started", f"Container started: {self.spec['name']}")
        self._kill_because, self.runs_never_yet = None, False
        self.started_up = "startupProbe" not in self.spec
        self.is_ready = self.started_up and "readinessProbe" not in self.spec
        self.state = {"running": {"startedAt": begun}}
        self.runner.publish()
        over = threading.Event()
        for kind in ("startupProbe", "readinessProbe", "livenessProbe"):
            if kind in self.spec:
                threading.Thread(target=self._probe, args=(kind, over), daemon=True).start()
        try:
            # Gone already, if it ended at once; podman may know no process of it any more.
            with contextlib.suppress(ProcessLookupError):
                if pid:
                    self._process = os.pidfd_open(pid)
                    self._watch()
        finally:
            over.set()
            if self._process >= 0:
                os.close(self._process)
                self._process = -1
        self.is_ready = self.started_up = False
        code = podman.exit_code(self.id)
        self._ended(code, begun, "Completed" if code == 0 else "Error", "")
        before = f"{self.id.rpartition('-')[0]}-{self.restarts - 1}"
        if self.restarts:
            with contextlib.suppress(PodmanError):
                podman.podman("rm", "--force", "--time", "0", before)

    def _watch(self) -> None:
        """Return when the process has ended, by itself or because it had to."""
        while not self._gone(POLL):
            if self.runner.ending.is_set():
                self._end("Stopping container", self.runner.grace())
                return
            if self._kill_because:
                self._end(*self._kill_because)
                return

    def _gone(self, timeout: float) -> bool:
        return bool(select.select([self._process], [], [], max(0.0, timeout))[0])

    def _end(self, why: str, grace: float) -> None:
        """End the process: preStop hook, signal, and SIGKILL once its time is over."""
        self.runner.event("Killing", f"{why} {self.spec['name']}")
        end = time.monotonic() + grace
        hook = self.spec.get("lifecycle", {}).get("preStop", {}).get("sleep")
        if hook and grace and self._gone(min(float(hook["seconds"]), grace)):
            return
        self._signal(self.image["Config"].get("StopSignal") or "SIGTERM")
        if not self._gone(max(LEAST_GRACE if grace else 0.0, end - time.monotonic())):
            self._signal("SIGKILL")
            self._gone(10)

    def _signal(self, name: str) -> None:
        number = int(name) if name.isdigit() else signal.Signals[f"SIG{name.removeprefix('SIG')}"]
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._process, number)

    def _ended(self, code: int, begun: str, reason: str, message: str) -> None:
        policy = self.spec.get("terminationMessagePolicy")
        if code and not message and policy == "FallbackToLogsOnError":
            message = "\n".join(read_log(self.log()))[-SAID_LAST:]
        ended: Object = {
            "exitCode": code,
            "reason": reason,
            "startedAt": begun,
            "finishedAt": now(),
            "containerID": f"podman://{self.id}",
        }
        self.state = {"terminated": ended | ({"message": message} if message else {})}
        self.last = self.state
        self.runner.publish()

    # ---- probes ----

    def _probe(self, kind: str, over: threading.Event) -> None:
        """Ask again and again, as a probe says, until the container has ended."""
        probe = self.spec[kind]
        period = float(probe.get("periodSeconds", 10))
        good = bad = 0
        over.wait(float(probe.get("initialDelaySeconds", 0)))
        while not over.is_set():
            begun = time.monotonic()
            active = self.started_up != (kind == "startupProbe")
            # A pod that ends is no longer killed for being slow.
            if active and not (self.runner.ending.is_set() and kind != "readinessProbe"):
                problem = ask(probe, self.spec, self.runner.address, self.id)
                if over.is_set():
                    return
                good, bad = (0, bad + 1) if problem else (good + 1, 0)
                if problem:
                    name = kind.removesuffix("Probe").capitalize()
                    self.runner.event("Unhealthy", f"{name} probe failed: {problem}", "Warning")
                if good >= probe.get("successThreshold", 1):
                    self._passed(kind)
                elif bad >= probe.get("failureThreshold", 3):
                    self._failed(kind, probe)
                    bad = 0
            elif not active and kind == "startupProbe":
                return
            over.wait(max(0.0, begun + period - time.monotonic()) if active else POLL)

    def _passed(self, kind: str) -> None:
        if kind == "startupProbe":
            self.started_up = True
            self.is_ready = "readinessProbe" not in self.spec
            self.runner.publish()
        elif kind == "readinessProbe" and not self.is_ready:
            self.is_ready = True
            self.runner.publish()

    def _failed(self, kind: str, probe: Object) -> None:
        if kind == "readinessProbe":
            if self.is_ready:
                self.is_ready = False
                self.runner.publish()
            return
        pod = self.runner.pod["spec"].get("terminationGracePeriodSeconds", 30)
        grace = float(probe.get("terminationGracePeriodSeconds", pod))
        name = kind.removesuffix("Probe")
        self._kill_because = (f"Container failed {name} probe, will be restarted:", grace)


def ask(probe: Object, container: Object, address: str, name: str) -> str | None:
    """Ask a container, and return what is wrong with the answer; None if nothing is.

    name: podman's, of the container.
    """
    timeout = float(probe.get("timeoutSeconds", 1))
    if "exec" in probe:
        variables = {it["name"]: it["value"] for it in container.get("env", ()) if "value" in it}
        command = [podman.expand(word, variables) for word in probe["exec"]["command"]]
        return podman.problem_in(name, command, timeout)
    given = probe.get("httpGet") or probe.get("tcpSocket")
    if given is None:
        return "only exec, httpGet and tcpSocket are known to the stand-in"
    ports = {each.get("name"): each["containerPort"] for each in container.get("ports", ())}
    port = int(ports.get(given["port"], given["port"]))
    try:
        if "tcpSocket" in probe:
            socket.create_connection((address, port), timeout).close()
            return None
        connection = http.client.HTTPConnection(address, port, timeout=timeout)
        try:
            headers = {"User-Agent": "kube-probe/1.37", "Accept": "*/*", "Connection": "close"}
            connection.request("GET", given.get("path", "/"), headers=headers)
            code = connection.getresponse().status
        finally:
            connection.close()
    except (OSError, http.client.HTTPException) as error:
        return repr(error)
    return None if 200 <= code < 400 else f"HTTP probe failed with statuscode: {code}"


def log_path(uid: str, container: str, number: int) -> Path:
    """Return where the log of a pod's container is. number: how often it had been restarted."""
    return LOGS / uid / f"{container}-{number}.log"


def read_log(path: Path) -> list[str]:
    """Return the lines of a container's log."""
    lines, part = [], ""
    with contextlib.suppress(FileNotFoundError):
        for line in path.read_text(errors="replace").splitlines():
            # 2026-11-30T21:05:11.123456789+00:00 stdout F text
            words = line.split(" ", 3)
            part += words[3] if len(words) > 3 else ""
            # A long line is in parts, of which the last is marked.
            if len(words) > 2 and words[2] == "F":
                lines.append(part)
                part = ""
    return lines
