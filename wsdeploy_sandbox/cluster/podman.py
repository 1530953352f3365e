"""Containers by podman: what a pod's spec asks for, as its options."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from wsdeploy_sandbox.cluster.store import Object

NETWORK, SUBNET, GATEWAY = "pods", "10.244.0.0/24", "10.244.0.1"
DNS = "10.96.0.10"
DOMAIN = "cluster.local"
STORAGE = Path("/var/lib/containers")
VARIABLE = re.compile(r"\$\$|\$\(([A-Za-z_.-][\w.-]*)\)")


class PodmanError(Exception):
    """Podman has failed; the message is what it said last."""


def podman(*words: str) -> str:
    """Run podman, and return what it prints. Raises PodmanError."""
    done = subprocess.run(
        ["podman", *words], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    if done.returncode:
        said = done.stderr.strip().splitlines() or ["no message"]
        raise PodmanError(said[-1].removeprefix("Error: "))
    return done.stdout.strip()


def prepare() -> None:
    """Make the pods' network, with nothing left of a run before."""
    if not STORAGE.is_mount():
        STORAGE.mkdir(exist_ok=True)
        # A host lies on an overlay, which can't carry another one.
        mount = ["mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", str(STORAGE)]
        subprocess.run(mount, check=True)
    podman("pod", "rm", "--all", "--force", "--time", "0")
    if NETWORK not in podman("network", "ls", "--format", "{{.Name}}").split():
        options = ("--subnet", SUBNET, "--gateway", GATEWAY, "--disable-dns")
        podman("network", "create", *options, "--interface-name", NETWORK, NETWORK)


def has_image(name: str) -> bool:
    """Tell whether the node has an image."""
    return subprocess.run(["podman", "image", "exists", name], check=False).returncode == 0


def image(name: str) -> Object:
    """Return what an image says of itself. Raises PodmanError."""
    found: Object = json.loads(podman("image", "inspect", name))[0]
    return found


def create_pod(name: str, pod: Object, address: str) -> None:
    """Make a pod's network and its place, where containers are started. Raises PodmanError."""
    namespace = pod["metadata"]["namespace"]
    words = ["pod", "create", "--name", name, "--network", f"{NETWORK}:ip={address}"]
    words += ["--hostname", pod["metadata"]["name"], "--dns", DNS, "--dns-option", "ndots:5"]
    for domain in (f"{namespace}.svc.{DOMAIN}", f"svc.{DOMAIN}", DOMAIN):
        words += ["--dns-search", domain]
    podman(*words)
    podman("pod", "start", name)


def expand(text: str, variables: Mapping[str, str]) -> str:
    """Return a text with $(NAME) replaced, as in commands and values of pods.

    >>> expand("$(A) $$(A) $(B) $A", {"A": "1"})
    '1 $(A) $(B) $A'
    """

    def found(match: re.Match[str]) -> str:
        if match[1] is None:
            return "$"
        return variables.get(match[1], match[0])

    return VARIABLE.sub(found, text)


def run_words(
    pod: Object,
    container: Object,
    image: Object,
    variables: Mapping[str, str],
    mounts: Mapping[str, Path],
) -> list[str]:
    """Return podman's options and words for a container of a pod. Pure.

    mounts: the folders of the pod's volumes, by their names.
    """
    words = ["--pull", "never", "--image-volume", "ignore", "--restart", "no"]
    for name, value in variables.items():
        words += ["--env", f"{name}={value}"]
    words += _security(pod["spec"].get("securityContext", {}), container.get("securityContext", {}))
    for mount in container.get("volumeMounts", ()):
        source = mounts[mount["name"]] / mount.get("subPath", "")
        options = "ro" if mount.get("readOnly") else "rw"
        words += ["--volume", f"{source}:{mount['mountPath']}:{options}"]
    if "workingDir" in container:
        words += ["--workdir", container["workingDir"]]
    config = image["Config"]
    command = [expand(word, variables) for word in container.get("command", ())]
    arguments = [expand(word, variables) for word in container.get("args", ())]
    if not command:
        command = [*(config.get("Entrypoint") or ())]
        arguments = arguments or [*(config.get("Cmd") or ())]
    words += ["--entrypoint", json.dumps(command[:1])]
    return [*words, image["Id"], *command[1:], *arguments]


def _security(pod: Object, container: Object) -> list[str]:
    both: dict[str, Any] = {**pod, **container}
    words = []
    if "runAsUser" in both:
        words += ["--user", f"{both['runAsUser']}:{both.get('runAsGroup', 0)}"]
    groups = [*both.get("supplementalGroups", ()), *([pod["fsGroup"]] if "fsGroup" in pod else ())]
    for group in groups:
        words += ["--group-add", str(group)]
    if both.get("readOnlyRootFilesystem"):
        # Podman's own would put a writable /tmp, /run and /var/tmp on it.
        words += ["--read-only", "--read-only-tmpfs=false"]
    if both.get("allowPrivilegeEscalation") is False:
        words += ["--security-opt", "no-new-privileges"]
    if both.get("seccompProfile", {}).get("type") != "RuntimeDefault":
        words += ["--security-opt", "seccomp=unconfined"]
    capabilities = both.get("capabilities", {})
    words += [f"--cap-drop={each}" for each in capabilities.get("drop", ())]
    words += [f"--cap-add={each}" for each in capabilities.get("add", ())]
    return words


def non_root_problem(pod: Object, container: Object, image: Object) -> str | None:
    """Return why a container must not run as it would, or None. Pure."""
    both = {**pod["spec"].get("securityContext", {}), **container.get("securityContext", {})}
    if not both.get("runAsNonRoot"):
        return None
    user = both.get("runAsUser", (image["Config"].get("User") or "0").partition(":")[0])
    if not str(user).isdigit():
        return f"container has runAsNonRoot and image has non-numeric user ({user})"
    return None if int(user) else "container has runAsNonRoot and image will run as root"


def start(pod: str, name: str, log: Path, words: list[str]) -> int:
    """Start a container in a pod, and return its process ID. Raises PodmanError."""
    log.parent.mkdir(parents=True, exist_ok=True)
    logging = ("--log-driver", "k8s-file", "--log-opt", f"path={log}")
    podman("run", "--detach", "--pod", pod, "--name", name, *logging, *words)
    return int(podman("container", "inspect", "--format", "{{.State.Pid}}", name))


def problem_in(name: str, command: list[str], timeout: float) -> str | None:
    """Run a command in a container, and return what it says if it fails, as a probe does."""
    try:
        done = subprocess.run(
            ["podman", "exec", name, *command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            check=False,
            timeout=timeout,
        )
    except subprocess.TimeoutExpired:
        return f"command timed out: {json.dumps(command)} timed out after {timeout:g}s"
    return (done.stdout.strip() or f"exit code {done.returncode}") if done.returncode else None


def exit_code(name: str) -> int:
    """Return with what a container has ended."""
    return int(podman("wait", name))
