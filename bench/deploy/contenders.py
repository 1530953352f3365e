"""Who does the job: this project, Ansible, a shell script, and pyinfra with nothing to do."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from bench.deploy.hosts import Target
from bench.machine import PROJECT
from wsdeploy import inventory
from wsdeploy.plan.host.survey import Survey
from wsdeploy.release import build, contents

HERE = Path(__file__).parent
JOB = HERE / "job"
LOCK = HERE.parent / "requirements.lock"
DOMAIN = "bench.sandbox.test"
"""The same in nginx.conf and the playbook."""

INVENTORY = """\
from wsdeploy import *

settings = Settings(
    domain={domain!r},
    app=App("files/app.py", processes=4, probe=Probe(send="hello", expect="hello"){more}),
    proxy=Nginx(),
    tls=SelfSigned(),
)
app, proxy = hosts(settings, app={hosts!r})
"""


def pinned(lock: str, package: str) -> str:
    """Return the version that a lock file has of a package. Raises KeyError if it has none."""
    for line in lock.splitlines():
        name, equals, rest = line.partition("==")
        if equals and name == package:
            return rest.split()[0]
    raise KeyError(package)


class FailedError(Exception):
    """A contender did not do its job; the message is what it printed at its end."""


class Contenders:
    """The contenders, with a folder for their inventories and Ansible's own environment.

    Each method does one run on all targets and returns its seconds. Raises FailedError.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._payload: bytes | None = None

    def ours(self, targets: Sequence[Target], more: str = "") -> float:
        """Deploy with this project; more: further arguments of App, as source."""
        return self._pyinfra(targets, "deploy.py", "-y", more=more)

    def true(self, targets: Sequence[Target]) -> float:
        """Let pyinfra run `true`: what it takes to start, connect and run one command."""
        return self._pyinfra(targets, "exec", "--", "true")

    def _pyinfra(self, targets: Sequence[Target], *arguments: str, more: str = "") -> float:
        path = self.folder / "inventory.py"
        hosts = [
            (
                target.host.name,
                target.host.ssh_data()
                | {
                    "ssh_hostname": target.address,
                    "ssh_port": target.port,
                    "ssh_known_hosts_file": str(target.known_hosts),
                },
            )
            for target in targets
        ]
        path.write_text(INVENTORY.format(domain=DOMAIN, hosts=hosts, more=more))
        pyinfra = str(Path(sys.executable).with_name("pyinfra"))
        return timed(pyinfra, str(path), *arguments, cwd=PROJECT)

    def prepare_ansible(self) -> None:
        """Install Ansible, with its bytecode compiled, into an environment of its own."""
        uv, environment = str(Path(sys.executable).with_name("uv")), self.folder / "ansible"
        for arguments in (
            ("venv", "--quiet", "--python", sys.executable, str(environment)),
            ("pip", "sync", "--quiet", "--compile-bytecode", "--require-hashes",
             "--python", str(environment), str(LOCK)),
        ):  # fmt: skip
            subprocess.run((uv, *arguments), check=True)
        (self.folder / "release.tar.gz").write_bytes(self._release())

    def ansible(self, targets: Sequence[Target]) -> float:
        """Run the playbook; connections that an earlier run has kept open are closed before."""
        hosts = self.folder / "hosts.ini"
        hosts.write_text(
            "".join(
                f"{t.host.name} ansible_host={t.address} ansible_port={t.port} ansible_user=root"
                f" ansible_ssh_private_key_file={t.key}"
                f" ansible_ssh_common_args='-o UserKnownHostsFile={t.known_hosts}'\n"
                for t in targets
            )
        )
        # A control socket's path may have 107 bytes.
        with tempfile.TemporaryDirectory(prefix="cp") as sockets:
            try:
                return timed(
                    str(self.folder / "ansible/bin/ansible-playbook"),
                    *("-i", str(hosts), "-e", f"release_archive={self.folder}/release.tar.gz"),
                    str(HERE / "ansible/playbook.yml"),
                    cwd=PROJECT,
                    environment={
                        "ANSIBLE_CONFIG": str(HERE / "ansible/ansible.cfg"),
                        "ANSIBLE_SSH_CONTROL_PATH_DIR": sockets,
                        "ANSIBLE_HOME": str(self.folder / "ansible-home"),
                    },
                )
            finally:
                for socket in Path(sockets).iterdir():
                    subprocess.run(
                        ("ssh", "-q", "-o", f"ControlPath={socket}", "-O", "exit", "any"),
                        stderr=subprocess.DEVNULL,
                        check=False,
                    )

    def script(self, targets: Sequence[Target]) -> float:
        """Do the first run's work by one shell script over one SSH connection to each target."""
        payload = self._script_payload()
        start = time.monotonic()
        with ThreadPoolExecutor(len(targets)) as pool:
            list(pool.map(lambda target: self._script(target, payload), targets))
        return time.monotonic() - start

    def _script(self, target: Target, payload: bytes) -> None:
        timed(
            "ssh", "-p", str(target.port), "-i", target.key, "-o", "BatchMode=yes",
            "-o", f"UserKnownHostsFile={target.known_hosts}", f"root@{target.address}",
            'cd "$(mktemp -d)" && tar -xz && sh first_run.sh',
            text=payload,
        )  # fmt: skip

    def _script_payload(self) -> bytes:
        """Return the script with all that it needs, made once: each run sends it."""
        if self._payload is None:
            packed = io.BytesIO()
            with tarfile.open(fileobj=packed, mode="w:gz") as tar:
                for file in (HERE / "first_run.sh", *sorted(JOB.iterdir())):
                    tar.add(file, file.name)
                release = tarfile.TarInfo("release.tar.gz")
                release.size = len(self._release())
                tar.addfile(release, io.BytesIO(self._release()))
            self._payload = packed.getvalue()
        return self._payload

    def _release(self) -> bytes:
        """Return the app with its dependencies: the archive that this project itself sends."""
        path = self.folder / "release.py"
        path.write_text(INVENTORY.format(domain=DOMAIN, hosts=["any"], more=""))
        survey = Survey(system={"architecture": "x86_64", "version": "12", "python": "3.11"})
        return build.archive(contents.release(inventory.load(path).settings, survey))


def timed(
    *command: str,
    cwd: Path | None = None,
    environment: Mapping[str, str] | None = None,
    text: bytes = b"",
) -> float:
    """Run a command and return its seconds. Raises FailedError if it fails."""
    start = time.monotonic()
    done = subprocess.run(
        command,
        cwd=cwd,
        env=os.environ | (environment or {}),
        input=text,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )
    seconds = time.monotonic() - start
    if done.returncode:
        output = done.stdout.decode(errors="replace").splitlines()
        raise FailedError(f"{shutil.which(command[0])} failed:\n" + "\n".join(output[-40:]))
    return seconds
