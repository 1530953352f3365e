"""What each program on a host is asked, and what it answers: the types that both sides share.

The machine that deploys writes requests as JSON, programs read them as they are; mypy checks both
ends. What stays on a host from one deployment to the next is here, too.

Programs import this for the type checker alone: to make these types takes longer than most of what
they do (4 to 8 ms at each start).
"""

from __future__ import annotations

from typing import Literal, NotRequired, TypedDict

Command = list[str]


class File(TypedDict):
    """A file as it travels."""

    path: str
    mode: int
    owner: str
    group: str
    content: str
    """In base64."""


class ApplyFiles(TypedDict):
    """config.apply_files: a set of files, put in place whole or not at all."""

    name: str
    digest: str
    files: list[File]
    absent: list[str]
    """Paths that go."""
    validate: list[Command]
    """Checks of the staged set; {stage} stands for the staged tree's root."""
    prepare: list[Command]
    """What happens right before files change."""
    activate: list[Command]
    verify: list[Command]


class TryFirewall(TypedDict):
    """config.try_firewall: rules that are taken back by themselves."""

    name: str
    """Of the service, and of the table."""
    rules: str
    file: str
    """With the rules that are in force now."""
    unit: str
    """That loads those."""
    seconds: int
    """For the trial."""
    back: NotRequired[bool]
    """True to end a trial at once."""


class Remove(TypedDict):
    """config.remove: the service goes."""

    name: str
    units: list[str]
    """The systemd units of its own, in the order in which they stop."""
    debian_units: list[str]
    """Units of Debian's that it may have taken for itself; then there are drop-ins of its own."""
    leaves: list[str]
    """Patterns of what it leaves beyond its sets of files and its folders."""
    stop_wait: float
    """Seconds for its processes to close their connections."""
    data: bool
    """Whether the folder of the app's own data goes, too."""


class Seal(TypedDict):
    """config.seal: a machine is readied for an image."""

    name: str
    proxies: list[str]
    """Units that are not to start before the app has answered."""
    secrets: list[str]
    """Files of secrets that the machine has read by itself."""
    stop_wait: float
    """Seconds for processes to close their connections."""


class InstallRelease(TypedDict):
    """rollout.install_release: the archive follows on standard input."""

    releases: str
    id: str


class Probe(TypedDict):
    """What a client of the gate does."""

    host: str
    health: str | None
    path: str
    send: str | None
    expect: str | None


class Watch(TypedDict):
    """How the watchdog tells whether the processes of a generation live. Times in seconds."""

    host: str
    """Host header of a question."""
    path: str
    """What is asked for."""
    hang_timeout: float
    """How long a process may be silent. It is killed after 4/5 of this, up to all of it."""
    start_timeout: float
    """How long it may take until its first answer."""
    stop_wait: float
    """How long it may live on after it has stopped listening: as long as Supervisor would wait."""


class Description(TypedDict):
    """What a generation is, as a file beside Supervisor's says it (rollout.description)."""

    release: str
    environment: str
    """The file with the environment of its processes."""
    listen: str
    """Where they listen, as common.listen reads it."""
    processes: int
    open_files: int
    """That each of them may have."""
    watch: Watch | None
    """None if the watchdog leaves it alone."""


class Commit(TypedDict):
    """What git says of the app's folder when its release was built."""

    id: str
    """As short as git writes it."""
    subject: str
    changed: bool
    """Whether the app had changes that are in no commit."""


class Processes(TypedDict):
    """A group of processes, as it is given to Supervisor.

    In the texts of its files are marks for what the host decides (rollout.description.fill).
    """

    name: str
    generation: str
    description: Description
    program: str
    """Supervisor's file."""
    environment: str


class Rollout(Processes):
    """rollout.rollout: a generation that is to serve. A record of it is what brings it back."""

    by: str
    """Who wants it."""
    later: NotRequired[list[str]]
    """Hosts whose turn comes after this one's."""
    release: str
    version: str
    """The same on all hosts for what one deployment brings to them."""
    commit: NotRequired[Commit | None]
    """What the release was built from, for people to read; None if that is in no git."""
    boot: str
    """What brings its folders back after a boot."""
    reuse_port: bool
    start_timeout: float
    """Seconds for its processes to become healthy."""
    healthy_for: float
    """Seconds for which they have to stay so."""
    stop_wait: float
    """Seconds that one may take to drain and end."""
    back_after: float
    """Seconds that a proxy may take to pass clients to a process that was gone."""
    probe: Probe


class ReleaseCommand(Processes):
    """rollout.release_command: a command of a release runs once."""

    kind: Literal["before_release", "after_release"]
    by: str
    release: str
    commit: Commit | None
    key: str
    """What it is remembered by once it has ended well."""
    seconds: float
    """That it may take."""
    stop_wait: float
    """Seconds that it may then take to end."""


class Retire(TypedDict):
    """rollout.retire: all generations but one let their clients go, and end."""

    name: str
    generation: str
    """The one that stays."""
    by: NotRequired[str]
    stop_wait: float


class Restore(TypedDict):
    """rollout.restore: what has served before serves again."""

    name: str
    restore: str | None
    """A generation, or None for the live one, started anew."""
    by: str
    later: list[str]


class History(TypedDict):
    """rollout.history: what has served."""

    name: str


class Served(TypedDict):
    """One generation of its answer."""

    generation: str
    release: str
    version: str
    listen: str
    processes: int
    deployed: float
    since: float
    by: str
    commit: Commit | None


class HistoryAnswer(TypedDict):
    """Its answer, the newest generation first."""

    live: str | None
    previous: str | None
    records: list[Served]


class Serving(TypedDict):
    """What serves on a host, as it is kept in serving.json."""

    generation: str
    release: str
    commit: Commit | None


class Gate(TypedDict):
    """How far new processes have come."""

    healthy: int
    """Processes that have passed the probe."""
    of: int
    seconds: float
    """Since they are waited for."""


class Drain(TypedDict):
    """How far the clients of old processes have gone."""

    left: int
    """Clients that are not closed yet."""
    of: int
    seconds: float
    """Since the drain began."""
    at_most: float
    """Seconds that it may take."""


class Progress(TypedDict, total=False):
    """A piece of news that a program tells while it is at work (common.progress)."""

    gate: Gate
    reached: bool
    """Whether clients may reach new processes before all of these are healthy."""
    drain: Drain
    served: Serving
    """Until now."""
    serves: Serving
    """From now on."""
    said: str
    """A line that a command of the release has printed."""


class Target(TypedDict):
    """Where a client connects to, and as whom."""

    host: str
    path: str
    address: list[str | int]
    tls: bool
    authority: str | None
    """A file with certificates to trust in place of the system's."""
    origin: str | None


class Handshake(TypedDict):
    """rollout.probe: one client, from the handshake to a clean close."""

    target: Target
    timeout: float
    """Seconds for each step."""
    send: str | None
    expect: str | None


class Startup(Handshake):
    """rollout.startup: a pod's first client, which may come before the app listens."""

    wait: float
    """Seconds that the app has to listen."""


class SelfSigned(TypedDict):
    """certificates.self_signed: a key and a certificate for a proxy."""

    name: str
    alternative_names: str
    """As OpenSSL's -addext takes them."""
    days: int
    certificate: str
    key: str
    activate: list[Command]
    """What lets a running proxy use them."""


class HostKeypairs(TypedDict):
    """certificates.host_keypairs: by which the other tier knows this host."""

    name: str
    days: int
    used: str
    spare: str
    todo: list[str]
    """In order: `promote` lets the spare pair become the used one, a path is a pair to be made."""
    activate: list[Command]


class Account(TypedDict):
    """certificates.acme_account: the account's key is made, sealed for another proxy, or taken."""

    folder: str
    seal_for: NotRequired[str | None]
    """A certificate in PEM: answer with the key, for its owner alone."""
    sealed: NotRequired[str]
    """The answer of another proxy, to be taken over with the host's own pair."""
    certificate: NotRequired[str]
    key: NotRequired[str]


class OrderNow(TypedDict):
    """certificates.order_now: the renewal runs once, and says how it went."""

    unit: str


class Order(TypedDict):
    """What is ordered from an authority. Another order means another certificate, at once."""

    names: list[str]
    key_type: str
    directory_url: str


class Renewal(TypedDict):
    """What the renewal on a host works by (renewal.json)."""

    email: str
    order: Order
    certificate: str
    key: str
    authority: str
    """A file with certificates to trust when talking to the authority, or nothing."""
    check: bool
    activate: list[Command]


class Process(TypedDict):
    """What a process of the machine that deploys is known by."""

    pid: int
    start: str | None
    where: str | None


class Run(TypedDict):
    """A run of pyinfra."""

    id: str
    owner: str
    process: Process


class LockState(Run):
    """A lock as it is kept on a host."""

    since: float
    step: str
    until: float | None
    """When it became free, or None while it is taken."""
    broken: NotRequired[str]
    """Who has taken it away."""


class TakeLock(TypedDict):
    """common.lock: take it, if it is free and still as the run has seen it."""

    action: Literal["take"]
    name: str
    run: Run
    step: str
    seen: NotRequired[LockState | None]
    over: str | None
    """The ID of a run that is gone, whose lock may be taken."""


class ReleaseLock(TypedDict):
    """common.lock: give back what a run has taken, unless something of it is still at work."""

    action: Literal["release"]
    name: str
    id: str


class BreakLock(TypedDict):
    """common.lock: take it away from whoever has it."""

    action: Literal["break"]
    name: str
    by: str


class LockAnswer(TypedDict, total=False):
    """What it was like before, and what became of the request."""

    taken: bool
    before: LockState | None
    busy: bool
    """Whether something of the run is still at work, so that the lock stays."""
    problem: str
    bare: bool
    """Whether the host has no Python yet, so that there is no lock."""


class Claim(TypedDict):
    """What a program is told of its run, to go on only while that has the lock."""

    name: str
    id: str
    step: str


class Capacity(TypedDict):
    """survey.capacity: what the host has, and what the service takes."""

    name: str
    units: dict[str, str]
    """Of `proxy` and `internal`, if the host has them."""
    seconds: float
    """For which the processors' time is watched."""


class Survey(TypedDict):
    """survey.survey: all that a deployment wants to know; wsdeploy.plan.host.survey says more."""

    packages: list[str]
    users: list[str]
    groups: list[str]
    units: list[str]
    sysctl: list[str]
    paths: list[str]
    """Patterns."""
    certificates: list[str]
    texts: list[str]
    locks: list[str]
    neighbours: list[str]
    firewalls: list[str]
    handshake: NotRequired[Handshake]
    """A client that is to come while the rest is asked."""
    network: list[str]
    """Addresses of other hosts."""


class PathState(TypedDict):
    """A path, in the survey's answer."""

    kind: Literal["file", "directory", "link", "other"]
    mode: int
    owner: str
    group: str
    sha256: NotRequired[str]
    target: NotRequired[str]


class Listener(TypedDict):
    """A socket that others could reach, in the survey's answer."""

    protocol: str
    port: int
    unit: str


class Supervised(TypedDict):
    """What Supervisor says of a process, as far as anybody asks."""

    group: str
    name: str
    statename: str
    pid: int
    start: int
    exitstatus: NotRequired[int]
    spawnerr: NotRequired[str]


class Filter(TypedDict):
    """A chain of somebody else's that drops what it does not allow."""

    table: str
    chain: str
    numbers: list[int]
    """All numbers that its table speaks of, ports among them."""


class Neighbours(TypedDict):
    """Who else is on a host."""

    services: list[str]
    proxies: dict[str, list[str]]
    """Files of a configuration that is neither Debian's nor ours, by `nginx` and `haproxy`."""
    ports: dict[str, str]
    """Who listens on the ports of a proxy."""
    filters: list[Filter]
    folders: list[str]


class Way(TypedDict):
    """How a host reaches another."""

    interface: str
    router: str | None
    """The router in between, if they are not in one network."""


class Network(TypedDict):
    """A host's addresses, and its ways to other hosts, in the survey's answer."""

    addresses: dict[str, list[str]]
    """With the lengths of their networks, by interface."""
    routes: dict[str, Way]
    """By the other hosts' addresses; without those that are not reached."""
    vendor: str
    """Who made the machine; empty in a container."""


class System(TypedDict):
    """What a machine runs."""

    id: str
    version: str
    architecture: str
    python: str
    cloud_init: Literal["absent", "done", "running"]
    boot: str | None


class HostLimits(TypedDict):
    """What a host allows."""

    open_files: int
    """Of one process."""
    processors: int
    memory: int
    """In bytes."""


class Certificate(TypedDict):
    """A certificate, in OpenSSL's words."""

    names: str
    issuer: str
    not_after: str
    pem: str


class LeavingWatch(TypedDict):
    """What leaving.service is to do; on the host as a file."""

    cloud: str
    """`aws` or `gcp`."""
    metadata: str
    """The URL of its metadata, without a path."""
    quiet: float
    """Seconds in which /healthz fails before the drain begins."""
    mark: str
    """The file by which nginx knows."""


class SurveyAnswer(TypedDict, total=False):
    """The answer of survey.survey."""

    system: System
    limits: HostLimits
    packages: dict[str, str]
    users: list[str]
    groups: list[str]
    units: dict[str, dict[str, str]]
    sysctl: dict[str, str | None]
    paths: dict[str, PathState]
    certificates: dict[str, Certificate | None]
    processes: list[Supervised] | None
    listeners: list[Listener]
    ssh_ports: list[int]
    firewall_ports: list[int]
    firewall_as_loaded: bool
    neighbours: Neighbours | None
    network: Network
    locks: dict[str, LockState | None]
    starts: dict[str, dict[str, tuple[int, float]]]
    texts: dict[str, str]
    served: bool
    """Whether the client was served, if one was to come."""


class Use(TypedDict):
    """What a part of the service takes."""

    processes: int
    clients: int
    memory: int
    cores: float
    files: int


class CapacityAnswer(TypedDict):
    """The answer of survey.capacity."""

    limits: HostLimits
    available: int
    """Bytes of memory."""
    files: list[int]
    """Open files of the whole host: now, and at most."""
    ports: int
    """Source ports."""
    tracked: list[int] | None
    """Connections that the packet filter tracks: now, and at most; None without any."""
    uses: dict[str, Use | None]


class Status(TypedDict):
    """status.status: what goes on on a host now."""

    name: str
    units: list[str]
    """systemd units to tell of."""
    proxy: str | None
    """The unit of the proxy, if the host has one."""
    certificates: list[str]
    folders: list[str]
    """Whose disks to look at."""
    patience: float
    """Seconds for all that is asked together: what has not answered by then is left out."""
    handshake: NotRequired[Handshake]
    """A client that comes to the host's proxy."""
    survey: NotRequired[Survey]
    """What a deployment would ask, to know what is not as planned."""


Reply = Literal["answered", "silent", "absent"]
"""Anything came back; somebody listens who says nothing; or nobody listens."""


class AppNumbers(TypedDict):
    """What a process with wsapp tells of itself."""

    connections: int
    most: int
    """Its cap on connections; 0 is none."""
    draining: bool
    handshakes: dict[str, int] | None
    """Of the last minute, by result; None from a wsapp that does not tell."""
    closes: dict[str, int] | None
    """The same by close code."""
    lag: float | None
    """Seconds: the greatest of the event loop's in the last minute."""


class ProcessStatus(TypedDict):
    """A process of the app, and all that it has started."""

    name: str
    pid: int
    statename: str
    """Supervisor's word."""
    seconds: float
    """Since it was started, or has ended."""
    starts: int
    """How often it was started in this generation; 0 if that is not known."""
    reply: Reply | None
    """None if it was not asked: it does not run, or nobody knows where it listens."""
    numbers: AppNumbers | None
    """None without wsapp."""
    connections: int
    """That it has accepted and not closed, by its sockets, without the watchdog's."""
    cores: float
    memory: int
    """In bytes."""
    end: str
    """How the one before it has ended, in Supervisor's words, if that is not long ago."""
    ended: float
    """When that was, in seconds since 1970; 0 if it is not known."""
    ends: int
    """How often one of its name has ended in the last hour."""
    said: str
    """What it has logged last, if it does not run."""


class GenerationStatus(TypedDict):
    """A generation that Supervisor has."""

    id: str
    live: bool
    release: str | None
    commit: Commit | None
    since: float | None
    """When it went live last, in seconds since 1970; None if it never did."""
    by: str | None
    hang_timeout: float | None
    start_timeout: float | None
    expected: int
    """Processes that it should have."""
    processes: list[ProcessStatus]


class Disk(TypedDict):
    """A file system."""

    folder: str
    free: int
    size: int
    """In bytes."""
    files_free: int
    files: int
    """Inodes; 0 where these are not counted."""


class Change(TypedDict):
    """A line of the log of changes."""

    time: str
    by: str
    action: str
    release: str
    outcome: str


class StatusAnswer(TypedDict, total=False):
    """The answer of status.status. What could not be found out in time is left out."""

    time: float
    """The host's clock."""
    booted: float
    """Seconds since then."""
    live: str | None
    """The generation that serves."""
    generations: list[GenerationStatus] | None
    """None if Supervisor does not answer."""
    units: dict[str, dict[str, str]]
    kills: list[str]
    """What the watchdog has killed in the last hour, in its words."""
    proxy_clients: int
    """Connections to the port for clients."""
    served: bool
    """Whether the client was served, if one was to come."""
    certificates: dict[str, Certificate | None]
    disks: list[Disk]
    firewall_as_loaded: bool
    lock: LockState | None
    last_change: Change | None
    available: int
    memory: int
    """Bytes, of the whole host."""
    load: float
    processors: int
    survey: SurveyAnswer


class ProcessNumbers(TypedDict):
    """A process, for the page of numbers."""

    name: str
    runs: bool
    starts: int
    reply: Reply | None
    text: str
    """What it tells of itself, in Prometheus' text format."""


class GenerationNumbers(TypedDict):
    """A generation, for the page of numbers."""

    id: str
    live: bool
    release: str
    commit: str
    processes: list[ProcessNumbers]


class Scrape(TypedDict):
    """What a host's page of numbers is made by (metrics.json)."""

    name: str
    allow: list[str]
    """Networks that may read it."""
    app: bool
    """Whether the host runs the app."""
    proxy: bool
    watchdog: bool
    firewall: bool
    shared: str
    """An address that proxies share, or nothing."""
    units: list[str]
    certificates: list[str]
    folders: list[str]
    """Whose disks to tell of."""
    max_connections: int


class Logs(TypedDict):
    """logs.logs: lines of all logs of a service on a host, by their time."""

    name: str
    since: float
    until: float
    """In seconds since 1970."""
    proxy: str | None
    """The unit of the proxy, if the host has one."""
    process: str | None
    """Only what is of this process or about it."""
    grep: str | None
    """A regular expression that lines match."""
    words: list[str]
    """If there are any, lines have one of these; what happened to processes is told anyway."""
    most: int
    """Lines that are sent; the newest."""


class LogLine(TypedDict):
    """A line of a log."""

    time: float
    """In seconds since 1970: its own, or that of the line before it."""
    source: str
    """ws_00@GENERATION, `proxy`, `supervisor`, `watchdog`, `certificate`, `kernel`, `deploys`."""
    text: str


class LogsAnswer(TypedDict):
    """Its answer, the oldest line first."""

    lines: list[LogLine]
    left_out: int
    """Lines before these."""
    time: float
    """The host's clock."""
