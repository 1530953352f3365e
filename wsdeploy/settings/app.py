"""What runs behind the proxy: the app, its processes, and how they start and stop."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import field
from typing import Annotated, Any, Literal

from wsdeploy.settings.secrets import FromCommand, FromEnv, FromFile
from wsdeploy.settings.section import Problem, Range, Section, refused

VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
# The deployment sets these itself; a user's value would be lost without a word.
OWN_VARIABLES = re.compile(
    r"WS_(APP|SOCKET|HOST|PORT|BACKLOG|SETTLE|DRAIN|DRAIN_FILE|MAX_AGE|CLOSE_CODE|CLOSE_TIMEOUT"
    r"|OPEN_TIMEOUT|COMPRESSION|PING_INTERVAL|PING_TIMEOUT|MAX_SIZE|LOG_LEVEL)"
    r"|SUPERVISOR_.*|PYTHONPATH"
)
# What a request line may have (RFC 3986) and no proxy's configuration takes for its own syntax.
PATH = re.compile(r"/[A-Za-z0-9._~/%?&=+:@!,-]*")
# What systemd's and tmpfiles' files take as it stands.
FOLDER = re.compile(r"(/[A-Za-z0-9._@+-]+)+")
FOLDER_WORDS = "an absolute path of letters, digits and ._@+-, without a / at its end"
HIDDEN_FOLDER = re.compile(r"/(home|root|run/user|tmp|var/tmp|dev|proc|sys)(/|$)")
PROCESSES_MOST = 99
# What a service does not run. README and LICENSE are for people.
EXCLUDED = (
    "tests", "test", "docs", "inventories", "README*", "CHANGELOG*", "LICENSE*", "COPYING*",
    ".github", ".gitlab-ci.yml", ".gitignore", ".gitattributes", ".pre-commit-config.yaml",
    ".dockerignore", "Dockerfile", "Makefile",
)  # fmt: skip
# Bytes of a variable with its name: Linux has no more for one (MAX_ARG_STRLEN, execve(2)), and so
# many for all of them here, of some 2 MB.
VARIABLE_MOST = 131_000
VARIABLES_MOST = 1_000_000
# What the host fills in, in the texts of a generation (wshost.rollout.description).
MARK = re.compile("@(?:GENERATION|AUTOSTART|LISTEN)@")
PATH_WORDS = "a path: / and then letters, digits and ._~/%?&=+:@!,-"


class Probe(Section):
    """What a client should see: the check that ends a deploy and opens the gate for a release.

    Every probe does a WebSocket handshake, a ping that must be answered with its own payload, and
    a clean close. With `send`, it also sends a message.
    """

    path: str = "/"
    """Path of the handshake, with its query string if the app needs one."""
    send: str | FromEnv | FromFile | FromCommand | None = None
    """Text message to send after the handshake; None sends none. An app that wants a token gets it
    from `FromEnv("NAME")` and the like: the value is in no log, argument or record that others can
    read."""
    expect: str | None = None
    """Text that the first message from the app must contain; None accepts any or none."""

    def problems(self) -> Iterator[Problem]:
        """Yield what is wrong with these values."""
        if not PATH.fullmatch(self.path):
            yield refused("path", self.path, f"give {PATH_WORDS}")


class App(Section):
    """The application: a Python program that serves WebSockets, and how to run it."""

    path: str
    """The app, relative to the folder in which pyinfra is started: a Python file, a folder, or a
    Python project (a folder with a pyproject.toml)."""
    processes: Annotated[int, Range(1, PROCESSES_MOST)] | Literal["auto"] = "auto"
    """Processes per host; "auto" is one per core of each host, and at least two. One
    process uses one core, and more processes than cores make messages slower; see
    docs/operate/capacity.md."""
    command: Sequence[str] | None = None
    """Command that runs the app, such as ["python", "-m", "chat"]. `python` is the host's
    interpreter with the release's packages; $WS_SOCKET, $WS_HOST, $WS_PORT, $WS_APP (the app's
    folder in its release) and other variables are replaced with their values. The command is
    started in the folder of the unix sockets, whichever way it listens. None runs the file, or the
    folder's __main__.py."""
    requirements: str | None = None
    """Lock file with the app's dependencies, each pinned and with hashes, as written by
    `uv pip compile --universal --generate-hashes`. None takes `uv.lock` or `requirements.txt` in
    the app's folder, if there is one."""
    exclude: Sequence[str] = EXCLUDED
    """Files of the app's folder that no release takes: names and patterns as in a shell, of files
    and folders directly in it, or paths below it (`["data/*.csv"]`). Changing an excluded file
    makes no new release. The default is what no process needs: tests, docs, the inventory. In a
    project with a `[build-system]`, the build still gets them, so there a change does."""
    env: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Environment variables of the app. On the host only root and the app can read them."""
    secrets: Mapping[str, FromEnv | FromFile | FromCommand] = field(default_factory=dict)
    """Environment variables whose values must not be in the inventory: `FromEnv("NAME")`,
    `FromFile("path")` or `FromCommand(["pass", "show", "api-key"])`, read on this machine at every
    deploy. They are shown nowhere."""
    writable: Sequence[str] = ()
    """Folders that the app may write to, beside /var/lib/NAME and /tmp: absolute paths outside of
    /home, /root, /run/user, /tmp, /var/tmp, /dev, /proc and /sys. Missing folders are made for the
    app's user; existing ones keep their owner. A change applies when Supervisor is started next."""
    listen: Literal["unix", "tcp", "shared"] | None = None
    """How processes listen: each on a `unix` socket, each on its own `tcp` port, or all on
    one `shared` port, among which the kernel balances. None is unix where app and proxy are on
    one host, or have `internal_tls` between them, and tcp otherwise."""
    port: Annotated[int, Range(1024, 65_435)] = 8000
    """TCP port of the first process or the shared one."""
    reuse_port: bool = True
    """Whether the app binds its TCP port with SO_REUSEPORT, as wsapp does. Then a new release
    starts beside the old one; without it, processes are replaced one after the other."""
    compression: Literal["off", "low", "medium", "high"] = "low"
    """Offer of permessage-deflate. A connection takes about 18, 48, 57 or 115 KiB in the app
    (measured with short messages; the levels are those of wsapp.compression)."""
    max_size: Annotated[int, Range(1, 2**30, "a whole number of bytes")] = 1_048_576
    """Largest message that the app accepts, in bytes. Larger ones close with code 1009."""
    ping_interval: Annotated[float, Range(1, 300, "seconds")] = 20
    """Seconds between the pings that keep connections alive and find dead ones."""
    ping_timeout: Annotated[float, Range(1, 300, "seconds")] | None = 20
    """Seconds to wait for the answer to a ping before the connection counts as dead. With None, a
    missing answer does not matter: for clients that stand still for long, such as phones and
    browsers in the background."""
    drain: Annotated[float, Range(0, 3600, "seconds")] = 30
    """Seconds over which a process that stops closes its connections. Everyone
    reconnects: 10,000 clients in 30 seconds are 333 TLS handshakes a second."""
    shutdown_drain: Annotated[float, Range(0, 300, "seconds")] = 10
    """Seconds over which connections are closed when the host itself stops or reboots; never more
    than `drain`."""
    max_age: Annotated[float, Range(60, 604_800, "seconds")] | None = None
    """Seconds after which a connection is closed with `close_code`, or None for no limit. Each
    connection ends at a random age of 80 to 100 % of this. Clients come back and are balanced
    anew; without it, a restarted process has few clients for as long as the others stay."""
    close_code: Literal[1001, 1012] = 1012
    """Close code of a drain: 1012 (service restart) or 1001 (going away)."""
    start_timeout: Annotated[float, Range(1, 600, "seconds")] = 30
    """Seconds within which all processes of a new release must answer."""
    healthy_for: Annotated[float, Range(0, 600, "seconds")] = 2
    """Seconds for which all of them must then stay healthy before clients are sent there."""
    hang_timeout: Annotated[float, Range(1, 600, "seconds")] | None = 10
    """Seconds without an answer after which a process counts as hung and is killed. So a handler
    must not block the event loop for four fifths of this; inference and other work that holds
    Python's lock blocks it for seconds. None kills no process."""
    health: str | None = "/healthz"
    """Path where the app answers a plain GET with 200 while it is healthy, as wsapp does at
    /healthz; None for an app that has no such path. The proxy's /healthz asks it."""
    probe: Probe = field(default_factory=Probe)
    """The check that a process and the whole path through the proxy must pass."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """Lowest level that the app logs."""
    before_release: Sequence[str] | None = None
    """Command that runs once before a new release serves anywhere, on the first app host, such as
    ["python", "-m", "chat.migrate"]: in the release's folder, with the app's environment, user and
    sandbox, and `python` as in `command`. If it fails, nothing has changed for anybody."""
    after_release: Sequence[str] | None = None
    """Command that runs once when a release serves on every host and the old one has drained; the
    rest is as for `before_release`. If it fails, the release goes on serving, and the next run
    tries it again."""
    release_timeout: Annotated[float, Range(1, 86_400, "seconds")] = 600
    """Seconds that `before_release` and `after_release` may each take."""

    def problems(self) -> Iterator[Problem]:
        """Yield what is wrong with these values."""
        if self.health is not None and not PATH.fullmatch(self.health):
            yield refused("health", self.health, f"give {PATH_WORDS}, or None")
        if self.listen == "shared" and not self.reuse_port:
            yield refused("reuse_port", False, "processes on a shared port need it; give True")
        for folder in self.writable:
            if not FOLDER.fullmatch(folder) or ".." in folder.split("/"):
                yield refused("writable", folder, f"give {FOLDER_WORDS}")
            elif HIDDEN_FOLDER.match(folder):
                yield refused("writable", folder, "the app's sandbox has its own there; move it")
        yield from self._command_problems()
        yield from self._variable_problems()

    def _command_problems(self) -> Iterator[Problem]:
        commands = {
            name: getattr(self, name) for name in ("command", "before_release", "after_release")
        }
        for setting, words in commands.items():
            if words is not None and not (words and words[0]):
                yield Problem(setting, "it is empty; give a command and its arguments, or None")
        for setting, words in (
            ("path", (self.path,)),
            *((setting, words or ()) for setting, words in commands.items()),
            ("health", (self.health or "",)),
        ):
            for word in words:
                if MARK.search(word):
                    yield refused(setting, word, "leave that out; it stands for something else")
        if "$" in self.path.rpartition("/")[2]:
            yield refused("path", self.path, "rename it; $ would stand for a variable")
        for setting, words in {"path": (self.path,), **commands}.items():
            for word in words or ():
                # Supervisor's files have no way to write these in a command.
                if re.search(r"[\0\r\n]|\s[;#]", word):
                    yield refused(setting, word, "leave out line breaks, and ; or # after a space")

    def _variable_problems(self) -> Iterator[Problem]:
        for setting, names in (("env", self.env), ("secrets", self.secrets)):
            for name in names:
                if not VARIABLE.fullmatch(name):
                    yield refused(setting, name, "a variable's name is letters, digits and _")
                elif OWN_VARIABLES.fullmatch(name):
                    yield refused(setting, name, "the deployment sets this variable itself")
                elif name in ("WS_ORIGINS", "WS_ORIGIN_REQUIRED"):
                    yield refused(setting, name, "the proxy checks origins; give them in edge")
        for name, value in self.env.items():
            if "\0" in value:
                yield Problem("env", f"the value of {name} has a NUL character; drop it")
            size = len(name) + len(value.encode(errors="replace")) + 2
            if size > VARIABLE_MOST:
                wanted = f"a variable holds {VARIABLE_MOST:,}; put it into a file of the app"
                yield Problem("env", f"the value of {name} has {size:,} bytes, and {wanted}")
        total = sum(len(k) + len(v.encode(errors="replace")) + 2 for k, v in self.env.items())
        if total > VARIABLES_MOST:
            wanted = f"{VARIABLES_MOST:,} are what a process takes; put them into files"
            yield Problem("env", f"all of it has {total:,} bytes, and {wanted}")
        for name in sorted(self.env.keys() & self.secrets.keys()):
            yield refused("secrets", name, "it is in env too; give it once")

    def broker_variables(self, name: str) -> dict[str, str]:
        """Return what tells the rooms of a service apart from those of others at its broker."""
        given = {*self.env, *self.secrets}
        if "WS_BROKER" not in given or "WS_BROKER_PREFIX" in given:
            return {}
        return {"WS_BROKER_PREFIX": name}

    def to_json(self) -> dict[str, Any]:
        """Return the values, but only the names of environment variables."""
        return super().to_json() | {"env": dict.fromkeys(self.env, "(not shown)")}
