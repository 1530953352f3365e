"""The `wsdeploy` command: what needs no host. Deployments are pyinfra's."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import sys
import textwrap
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from wsdeploy import __version__

if TYPE_CHECKING:
    from wsdeploy.inventory import Cluster, Fleet, Host, Project
    from wsdeploy.preview import Assumed
    from wsdeploy.project import layout

INVENTORY = click.argument("inventory", type=click.Path(exists=True, dir_okay=False))

# GitHub takes no secret whose name begins with GITHUB_, in whichever case, and no workflow can set
# RUNNER_*. With a secret in one of the others, a shell, Python or ssh would not find what it needs.
RESERVED = re.compile(
    r"(?i:GITHUB_.*)|RUNNER_.*|CI|PATH|HOME|USER|LOGNAME|SHELL|SHLVL|PWD|OLDPWD|HOSTNAME|TMPDIR"
    r"|TERM|LANG|LC_.*|IFS|ENV|BASH(_.*)?|UID|EUID|PPID|LD_.*|PYTHON[A-Z]*|VIRTUAL_ENV|SSH_AUTH_SOCK"
)
OF_WORKFLOW = (
    "DEPLOY_SSH_KEY",
    "DEPLOY_KNOWN_HOSTS",
    "DEPLOY_KUBECONFIG",
    "DEPLOY_REGISTRY_LOGIN",
)
"""Secrets that the workflows of a new project have for themselves."""
TO = ("hosts", "kubernetes", "heroku", "render", "fly", "koyeb", "dokku")
"""Places that a new project can be for. To import them takes time."""


@click.group()
@click.version_option(__version__, message="%(prog)s %(version)s")
def main() -> None:
    """Put a Python websockets server into production on hosts, in clusters, on platforms.

    Hosts run Debian, clusters are of Kubernetes, platforms are Heroku, Render, Fly, Koyeb and
    Dokku. These commands contact no host and no cluster.
    `pyinfra inventories/prod.py deploy.py` deploys.
    """


@main.command()
@click.argument("folder", metavar="[DIR]", default=".", type=click.Path(file_okay=False))
@click.option(
    "--app",
    type=click.Path(exists=True),
    metavar="PATH",
    help="An app that exists: a file, a folder or a project. Without it, an echo server is made.",
)
@click.option(
    "--to",
    type=click.Choice(TO),
    default="hosts",
    show_default=True,
    help="Where the service is to run. A project may have several; run it once for each.",
)
@click.option("--domain", metavar="NAME", help="The name that clients connect to.")
@click.option(
    "--host",
    "hosts",
    multiple=True,
    metavar="ADDRESS",
    help="A Debian machine, as [USER@]ADDRESS; may be given several times.",
)
@click.option(
    "--proxy", type=click.Choice(["nginx", "haproxy"]), help="Of hosts; nginx if it is not given."
)
@click.option(
    "--secret",
    "secrets",
    multiple=True,
    metavar="VARIABLE",
    help="A variable of this machine's that the app gets; may be given several times.",
)
def init(  # noqa: PLR0917 - click passes them by name
    folder: str,
    app: str | None,
    to: str,
    domain: str | None,
    hosts: tuple[str, ...],
    proxy: str | None,
    secrets: tuple[str, ...],
) -> None:
    """Make a project in DIR that deploys an app.

    Files that are there already are left as they are.
    """
    from wsdeploy.plan.summary import readable  # noqa: PLC0415
    from wsdeploy.project import entry, layout  # noqa: PLC0415 - templates take time to load

    place = Path(folder)
    path = os.path.relpath(app, place) if app else ""
    if app and not (Path(app).is_file() or Path(app).is_dir()):
        sys.exit(f"--app {readable(app)}: give a file or a folder")
    for option in ("--host" if hosts else "", "--proxy" if proxy else ""):
        if option and to != "hosts":
            sys.exit(f"{option}: --to {to} has no hosts of yours; leave out one of the two")
    user, addresses = _hosts(hosts)
    _check(domain, secrets)
    project = layout.Project(
        name=layout.service_name(place),
        app=entry.find(Path(app), path, unix=to == "hosts") if app else layout.ECHO,
        domain=domain,
        email=layout.email(place),
        hosts=addresses,
        ssh_user=user,
        proxy=proxy or "nginx",
        secrets=tuple(dict.fromkeys(secrets)),
        to=to,
    )
    files = project.files()
    if path == "." and not (place / "pyproject.toml").exists():
        # It would make a project of an app that is a plain folder, with other dependencies.
        files.pop("pyproject.toml", None)
    try:
        written = layout.write(place, files)
    except layout.LayoutError as error:
        sys.exit(f"{readable(str(error))}; nothing was written")
    except OSError as error:
        again = "run it again when that is fixed: it adds the files that are missing"
        sys.exit(f"{readable(str(error.filename))}: {error.strerror}; {again}")
    click.echo(_report(readable(folder), written))
    if app and project.place.inventory in written.kept:
        click.echo("  --app changes no inventory that is there: name the app in its App(...)")
    click.echo("\nNext:")
    for line in _next_commands(place, project, written, has_project="pyproject.toml" in files):
        click.echo(f"  {line}")


def _hosts(given: Sequence[str]) -> tuple[str, tuple[str, ...]]:
    """Return the user and the addresses of hosts."""
    from wsdeploy.settings.names import is_address, is_host_name  # noqa: PLC0415

    users, addresses = set(), []
    for each in given:
        user, _, address = each.rpartition("@")
        users.add(user or "root")
        addresses.append(address)
        if not (is_address(address) or is_host_name(address)):
            sys.exit(f"--host {each}: give a host name or an address")
        if not re.fullmatch(r"[a-z_][a-z0-9_.-]*", user or "root"):
            sys.exit(f"--host {each}: {user!r} is no user's name")
    if len(users) > 1:
        sys.exit(f"--host: one user logs in to all hosts, not {' and '.join(sorted(users))}")
    return next(iter(users), "root"), tuple(addresses)


def _check(domain: str | None, secrets: Sequence[str]) -> None:
    from wsdeploy.settings.app import OWN_VARIABLES, VARIABLE  # noqa: PLC0415
    from wsdeploy.settings.names import domain_wanted, is_domain  # noqa: PLC0415

    if domain is not None and not is_domain(domain):
        sys.exit(f"--domain {domain}: {domain_wanted(domain)}")
    for each in secrets:
        if not VARIABLE.fullmatch(each):
            sys.exit(f"--secret {each}: give the name of a variable, never its value")
        if OWN_VARIABLES.fullmatch(each):
            sys.exit(f"--secret {each}: the deployment sets this variable itself")
        if RESERVED.fullmatch(each):
            sys.exit(
                f"--secret {each}: a shell or GitHub Actions uses this name; take another name"
            )
        if each.upper() in OF_WORKFLOW:
            sys.exit(f"--secret {each}: the workflow deploys with it; take another name")
    if len({each.upper() for each in secrets}) < len(set(secrets)):
        sys.exit("--secret: for GitHub, names that differ only in case are one; change one of them")


def _report(folder: str, written: layout.Written) -> str:
    """Return what became of a project's files, in words."""
    count = len(written.new)
    lines = [f"{folder}: {count} new file{'' if count == 1 else 's'}{':' if count else ''}"]
    lines += textwrap.wrap(", ".join(written.new), 96, break_on_hyphens=False)
    if written.kept:
        kept = f"left as they are: {', '.join(written.kept)}"
        lines += textwrap.wrap(kept, 96, break_on_hyphens=False)
    return "\n  ".join([*lines, *written.advice])


def _next_commands(
    place: Path, project: layout.Project, written: layout.Written, *, has_project: bool
) -> list[str]:
    """Return what to do next with a new project, in an order that works."""
    from wsdeploy.project import layout  # noqa: PLC0415
    from wsdeploy.project.layout import SANDBOX_DOMAIN, requirement  # noqa: PLC0415

    run = "uv run " if shutil.which("uv") and has_project else ""
    lines = [] if place.resolve() == Path.cwd() else [f"cd {_shell_word(place)}"]
    if written.lacks_wsdeploy:
        lines.append(f"uv add --dev {shlex.quote(requirement())}")
    if project.to != "hosts":
        in_git = bool(layout.git(place, "rev-parse", "--show-toplevel"))
        return lines + _next_elsewhere(project, run, in_git=in_git)
    if not project.app.complete:
        # Without these, nothing starts in the sandbox either.
        both = "inventories/sandbox.py inventories/prod.py"
        lines.append(f"$EDITOR {both}  # the lines marked EDIT: app")
    lines.append(f"{run}pyinfra inventories/sandbox.py deploy.py  # try it here: Linux, as root")
    domain = f"{project.name}.{SANDBOX_DOMAIN}"
    lines.append(f"{run}pyinfra inventories/sandbox.py wsdeploy.certificates  # to talk to it:")
    client = f"{run}python -m websockets wss://{domain}/"
    lines.append(f"SSL_CERT_FILE=certificates/{domain}.pem {client}")
    if edit := ", ".join(each for each in project.to_edit if each != "app"):
        lines.append(f"$EDITOR inventories/prod.py  # the lines marked EDIT: {edit}")
    lines.append(f"{run}wsdeploy check inventories/prod.py")
    lines.append(f"{run}pyinfra inventories/prod.py deploy.py")
    return lines


def _next_elsewhere(project: layout.Project, run: str, *, in_git: bool) -> list[str]:
    """Return what to do next with a project for a cluster or a platform."""
    place = project.place
    if not place.has_project:
        run = f"{project.runner} " if shutil.which("uv") else ""
    lines = (
        []
        if in_git or not place.is_platform
        else [f"git init  # {place.title} gets what is committed"]
    )
    if project.to_edit:
        edit = ", ".join(project.to_edit)
        lines.append(f"$EDITOR {place.inventory}  # the lines marked EDIT: {edit}")
    if not place.is_platform:
        lines.append("sudo sh inventories/base.sh  # makes base.tar, with mmdebstrap")
    lines.append(f"{run}wsdeploy check {place.inventory}")
    if place.is_platform:
        what = "writes files, and says what to type next"
        return [*lines, f"{run}pyinfra {place.inventory} deploy.py  # {what}"]
    deploy = f"pyinfra {place.inventory} deploy.py"
    namespace = project.namespace
    return [
        *lines,
        "kubectl config current-context  # is it the cluster that you mean?",
        f"kubectl create namespace {namespace}  # unless it is there",
        f"{run}{deploy.replace('pyinfra', 'pyinfra --dry --diff')}",
        f"{run}{deploy}",
    ]


def _shell_word(place: Path) -> str:
    """Return a folder as a shell takes it, without what a terminal would obey."""
    from wsdeploy.plan.summary import readable  # noqa: PLC0415

    path = f"./{place}" if str(place).startswith("-") else str(place)
    return readable(shlex.quote(path))


@main.command(short_help="Look for mistakes in an inventory and its files.")
@INVENTORY
def check(inventory: str) -> None:
    """Look for mistakes in an inventory, and in the files of this machine that it names.

    Exits with 0 if there are none, and 1 if there are. What a cluster or a platform keeps only in
    part is said in a line each. An inventory is a program, which is run: one
    for the sandbox boots its hosts.
    """
    from wsdeploy.inventory import Cluster, Project  # noqa: PLC0415
    from wsdeploy.plan.host.render import RenderError  # noqa: PLC0415
    from wsdeploy.preview import Assumed, files  # noqa: PLC0415

    fleet = _load(inventory)
    if isinstance(fleet, Project):
        title, count = fleet.platform.title, len(fleet.wanted)
        click.echo(f"{inventory}: no problem found; {count} files for {title}, no hosts")
        for note in fleet.notes():
            click.echo(f"  {note}")
        return
    if isinstance(fleet, Cluster):
        _, notes = _cluster_files(inventory, fleet)
        namespace = fleet.kubernetes.namespace
        click.echo(f"{inventory}: no problem found; a cluster (namespace {namespace})")
        for note in notes:
            click.echo(f"  {note}")
        return
    for host in fleet.hosts:
        try:
            # Templates of one's own are read as they are needed.
            list(files(fleet.settings, host.name, Assumed()))
        except RenderError as error:
            sys.exit(f"{inventory}: {error}; no host was contacted")
    count = len(fleet.hosts)
    hosts = f"{count} host{'s' if count > 1 else ''}"
    click.echo(f"{inventory}: no problem found; {hosts} ({_by_roles(fleet)})")


def _by_roles(fleet: Fleet) -> str:
    """Return which hosts have which roles: `app: app1, app2; proxy: lb1`."""
    groups: dict[str, list[str]] = {}
    for host in fleet.hosts:
        groups.setdefault(" and ".join(host.roles), []).append(host.name)
    return "; ".join(f"{roles}: {', '.join(names)}" for roles, names in groups.items())


@main.command(short_help="Show what Prometheus has to be told.")
@INVENTORY
def prometheus(inventory: str) -> None:
    """Show the scrape configuration for the hosts of an inventory with Settings(metrics=...).

    With it, the rules and the dashboard of examples/prometheus work as they are.
    """
    from wsdeploy.inventory import Cluster, Project  # noqa: PLC0415
    from wsdeploy.plan.host import metrics  # noqa: PLC0415

    fleet = _load(inventory)
    if isinstance(fleet, Project | Cluster):
        other = "Kubernetes(metrics_namespace=...) makes a PodMonitor"
        sys.exit(f"{inventory} has no hosts; {other}")
    if fleet.settings.metrics is None:
        sys.exit(f'{inventory} has no metrics; give Settings(metrics=Metrics(allow=["ADDRESS"]))')
    private = {each.name: each.data.get("private_address", each.address) for each in fleet.hosts}
    addresses = {name: str(address) for name, address in private.items()}
    click.echo(metrics.scrape_configuration(fleet.settings, addresses), nl=False)


@main.command(short_help="Show the files that hosts would get.")
@INVENTORY
@click.argument("host", required=False)
@click.option("--output", type=click.Path(file_okay=False), help="A folder to write the files to.")
@click.option("--all", "programs", is_flag=True, help="Show wsdeploy's own programs, too.")
@click.option("--debian", type=click.Choice(["12", "13"]), default="12", show_default=True)
@click.option("--cpus", type=click.IntRange(1, 1024), default=2, show_default=True)
@click.option("--memory", type=click.FloatRange(0.1), default=4, show_default=True, metavar="GIB")
@click.option("--files", type=click.IntRange(256), default=1_048_576, show_default=True)
def render(  # noqa: PLR0917 - click passes them by name
    inventory: str,
    host: str | None,
    output: str | None,
    programs: bool,
    debian: str,
    cpus: int,
    memory: float,
    files: int,
) -> None:
    """Show every file that the hosts of an inventory would get, or only those of HOST.

    The programs that wsdeploy puts there, the same for every service, are shown with --all, and
    written to a folder anyway.

    Nobody is asked, so the hosts are assumed to be as the options say. Values of the app's
    variables, and keys, are not shown.

    Of a platform, it shows the files that pyinfra would write into this project.

    Of a cluster, it shows the objects, or writes them as a folder for kustomize; a folder that it
    has written before is made anew. Secrets are not among them.
    """
    from wsdeploy.inventory import Cluster, Project  # noqa: PLC0415
    from wsdeploy.plan.host.render import RenderError  # noqa: PLC0415
    from wsdeploy.preview import Assumed  # noqa: PLC0415

    fleet = _load(inventory)
    if isinstance(fleet, Project):
        if host is not None:
            sys.exit(f"{inventory} has a platform and no hosts; leave out {host}")
        if output is not None:
            sys.exit(f"--output: pyinfra {inventory} deploy.py writes them into this project")
        for path, text in fleet.wanted.items():
            click.echo(f"==> {path}\n{text}")
        return
    if isinstance(fleet, Cluster):
        if host is not None:
            sys.exit(f"{inventory} has a cluster and no hosts; leave out {host}")
        _render_cluster(inventory, fleet, output)
        return
    assumed = Assumed(debian, cpus, int(memory * 2**30), files)
    hosts = [each for each in fleet.hosts if host in (None, each.name)]
    if not hosts:
        names = ", ".join(each.name for each in fleet.hosts)
        sys.exit(f"{inventory} has no host {host}; it has {names}")
    if output and Path(output).is_dir() and any(Path(output).iterdir()):
        sys.exit(f"{output} has something in it; give a new folder, or an empty one")
    try:
        for each in hosts:
            _render(fleet, each, assumed, output, programs)
    except RenderError as error:
        sys.exit(f"{inventory}: {error}; no host was contacted")
    except BrokenPipeError:
        raise  # whoever reads has seen enough, which click knows
    except OSError as error:
        sys.exit(f"{error.filename}: {error.strerror}")


def _render(fleet: Fleet, host: Host, assumed: Assumed, output: str | None, programs: bool) -> None:
    from wsdeploy import preview  # noqa: PLC0415

    click.echo(f"# {host.name} ({' and '.join(host.roles)}), assumed: {assumed}", err=True)
    for note in preview.notes(fleet.settings, host.name, assumed):
        click.echo(f"# {host.name}: {note}", err=True)
    left_out = 0
    for each in preview.files(fleet.settings, host.name, assumed):
        file = each.file
        if output is None and each.is_program and not programs:
            left_out += 1
        elif output is None:
            where = f"{host.name}:{file.path}"
            click.echo(f"==> {where} {file.mode:04o} {file.owner}:{file.group} ({each.part})")
            click.echo(each.text.rstrip("\n"), nl=bool(each.text))
            click.echo()
        else:
            target = Path(output, host.name, file.path.lstrip("/"))
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(each.text, encoding="utf-8")
    if left_out:
        click.echo(f"# {host.name}: {left_out} files of wsdeploy's own; --all shows them", err=True)


@main.command(short_help="Say how many hosts a number of clients needs.")
@click.option("--clients", type=click.IntRange(1, 100_000_000), required=True, metavar="NUMBER")
@click.option(
    "--messages",
    type=click.FloatRange(0, 10_000),
    default=0,
    show_default=True,
    metavar="NUMBER",
    help="Messages that each client sends in a second, and that are answered.",
)
@click.option(
    "--lost",
    type=click.IntRange(0, 1000),
    default=1,
    show_default=True,
    metavar="HOSTS",
    help="Hosts that may be down while the others hold all clients.",
)
@click.option("--proxy", type=click.Choice(["nginx", "haproxy"]), default="nginx")
@click.option("--compression", type=click.Choice(["off", "low", "medium", "high"]), default="low")
@click.option("--tiers", is_flag=True, help="Proxies apart from the hosts of the app.")
@click.option("--cores", type=click.IntRange(1, 1024), metavar="NUMBER", help="Of each host.")
@click.option("--memory", type=click.FloatRange(0.1), metavar="GIB", help="Of each host.")
def capacity(  # noqa: PLR0917 - click passes them by name
    clients: int,
    messages: float,
    lost: int,
    proxy: str,
    compression: str,
    tiers: bool,
    cores: int | None,
    memory: float | None,
) -> None:
    """Say how many hosts of which size a number of clients needs, before there are any.

    For other sizes than the usual ones, give --cores and --memory. The numbers are of an app that
    does little; `pyinfra INVENTORY wsdeploy.capacity` measures what your hosts hold with yours.
    """
    from wsdeploy.plan.capacity import planner  # noqa: PLC0415

    if (cores is None) != (memory is None):
        sys.exit(f"--{'memory' if memory is None else 'cores'}: missing; give both, or neither")
    sizes: Sequence[planner.Size] = planner.SIZES
    if cores is not None and memory is not None:
        sizes = [planner.Size(cores, memory)]
    demand = planner.Demand(
        clients=clients,
        messages=messages,
        lost=lost,
        proxy={"nginx": "Nginx", "haproxy": "HAProxy"}[proxy],
        compression=compression,
    )
    try:
        lines = list(planner.lines(demand, planner.TIERS if tiers else planner.ALONE, sizes))
    except ValueError as error:
        sys.exit(str(error))
    click.echo("\n".join(lines))


@main.command(short_help="Build the image of a cluster's pods.")
@INVENTORY
@click.option(
    "--output", required=True, type=click.Path(file_okay=False), help="A folder to write to."
)
@click.option(
    "--base",
    type=click.Path(exists=True, file_okay=False),
    metavar="FOLDER",
    help="The base that the inventory names, in OCI's layout, as skopeo copies it.",
)
@click.option("--containerfile", is_flag=True, help="Write what another builder makes it from.")
def image(inventory: str, output: str, base: str | None, containerfile: bool) -> None:
    """Build the image of a cluster's pods, as a folder in OCI's layout.

    The same release on the same base is the same image, to the byte. Its name and digest are
    printed. A folder with an earlier image of the same repository is made anew. The app's secrets
    need not be there.
    """
    from wsdeploy.image import base as bases  # noqa: PLC0415
    from wsdeploy.image import build, contents  # noqa: PLC0415
    from wsdeploy.image import containerfile as containerfiles  # noqa: PLC0415
    from wsdeploy.inventory import Cluster, Fleet  # noqa: PLC0415
    from wsdeploy.release.build import BuildError, archive  # noqa: PLC0415

    cluster = _load(inventory)
    if not isinstance(cluster, Cluster):
        what = "hosts" if isinstance(cluster, Fleet) else "a platform"
        sys.exit(f"{inventory} has {what} and no cluster; say service = pods(settings, ...)")
    given = cluster.kubernetes.image
    own = not containerfile and build.is_of(given.repository, Path(output))
    if Path(output).is_dir() and any(Path(output).iterdir()) and not own:
        sys.exit(f"{output} has something in it; give a new folder, or an empty one")
    if containerfile and given.base is None:
        sys.exit("a Containerfile begins with a base that has a name; give Image(base=...)")
    if not containerfile and given.rootfs is None and base is None:
        sys.exit(f"--base FOLDER: missing; skopeo copies {given.base} there, or --containerfile")
    target = contents.target(cluster.settings, cluster.kubernetes)
    try:
        release = archive(contents.release(cluster.settings, given))
        if containerfile:
            containerfiles.write(target, build.own_entries(target, release), Path(output))
            click.echo(f"{output}: build {target.image} from its Containerfile")
            return
        below = (
            bases.of_layout(Path(base), target.base, given.architecture)
            if base is not None
            else bases.of_rootfs(Path(given.rootfs or ""), given.interpreter)
        )
        built = build.build(target, release, below)
        if own:
            build.remove(Path(output))
        build.write(built, Path(output))
    except (bases.ImageError, BuildError) as error:
        sys.exit(f"{inventory}: {error}")
    except OSError as error:
        sys.exit(f"{error.filename}: {error.strerror}")
    click.echo(f"{built.name}@{built.digest}")


@main.command(short_help="Make the file from which a machine sets itself up.")
@INVENTORY
@click.argument("out", type=click.Path(dir_okay=False))
@click.option(
    "--key",
    required=True,
    type=click.Path(exists=True, dir_okay=False),
    help="The SSH key to sign with; a public one if ssh-agent has the other half.",
)
@click.option(
    "--debian",
    multiple=True,
    type=click.Choice(["12", "13"]),
    help="A release that machines have; may be given several times. Both, if it is not.",
)
@click.option(
    "--architecture", type=click.Choice(["x86_64", "aarch64"]), default="x86_64", show_default=True
)
@click.option(
    "--include",
    multiple=True,
    type=click.Path(exists=True),
    metavar="PATH",
    help="A file or folder that operations of your own need; may be given several times.",
)
@click.option("--url", help="Where machines get it from; prints user data for them.")
@click.option("--fetch", metavar="COMMAND", help="Prints it to its output; instead of --url.")
def bundle(  # noqa: PLR0917 - click passes them by name
    inventory: str,
    out: str,
    key: str,
    debian: tuple[str, ...],
    architecture: str,
    include: tuple[str, ...],
    url: str | None,
    fetch: str | None,
) -> None:
    """Make one signed file from which a machine sets itself up, without anybody's doing.

    The inventory says app=["@local"]. The file has the project, what runs it and the releases, but
    no secret: a machine reads those by itself. The same project makes the same file.
    """
    from wsdeploy.bundle import build, project, signature, user_data  # noqa: PLC0415
    from wsdeploy.bundle.errors import BundleError  # noqa: PLC0415
    from wsdeploy.inventory import Fleet  # noqa: PLC0415
    from wsdeploy.plan.host.render import RenderError  # noqa: PLC0415
    from wsdeploy.release.build import BuildError  # noqa: PLC0415
    from wsdeploy.settings import SettingsError  # noqa: PLC0415

    if url and fetch:
        sys.exit("--url and --fetch: give one of them")
    fleet = _load(inventory)
    if not isinstance(fleet, Fleet):
        sys.exit(f'{inventory} has no hosts; say app, proxy = hosts(settings, app=["@local"])')
    settings = fleet.settings
    if found := [*project.problems(settings, (host.name for host in fleet.hosts))]:
        raise SettingsError(inventory, found)
    kinds = [build.survey(each, architecture) for each in sorted({*debian} or ["12", "13"])]
    try:
        public = signature.public(Path(key))
        archive = build.archive(settings, Path(inventory), kinds, map(Path, include))
        whole = signature.signed(archive, Path(key), settings.name)
        Path(out).write_bytes(whole)
        if command := fetch or (url and user_data.download(url)):
            click.echo(
                user_data.user_data(settings.name, settings.domain, public, command), nl=False
            )
    except (BundleError, BuildError, RenderError) as error:
        sys.exit(f"{inventory}: {error}")
    except OSError as error:
        sys.exit(f"{error.filename}: {error.strerror}")
    click.echo(f"{out}: {len(whole) / 1e6:,.0f} MB, signed with {public}", err=True)


def _render_cluster(inventory: str, cluster: Cluster, output: str | None) -> None:
    from wsdeploy.cluster import kustomize  # noqa: PLC0415

    files, notes = _cluster_files(inventory, cluster)
    for note in notes:
        click.echo(f"# {note}", err=True)
    if output is None:
        for name, text in files.items():
            click.echo(f"==> {name}\n{text}")
        return
    try:
        kustomize.write(Path(output), files)
    except kustomize.FolderError as error:
        sys.exit(str(error))
    except OSError as error:
        sys.exit(f"{error.filename}: {error.strerror}")
    context = cluster.kubernetes.context
    options = f"--context {shlex.quote(context)} " if context else ""
    click.echo(f"kubectl {options}apply -k {shlex.quote(output)}")


def _cluster_files(inventory: str, cluster: Cluster) -> tuple[dict[str, str], list[str]]:
    """Return the files of a cluster's folder, and what to say of them; or end with a line."""
    from wsdeploy.cluster import keeping, kustomize, objects  # noqa: PLC0415
    from wsdeploy.image import contents  # noqa: PLC0415
    from wsdeploy.plan.host.render import RenderError  # noqa: PLC0415

    target = contents.target(cluster.settings, cluster.kubernetes)
    try:
        files = kustomize.files(objects.objects(target), Path(inventory).name)
    except RenderError as error:
        sys.exit(f"{inventory}: {error}; no cluster was contacted")
    notes = [
        *keeping.notes(cluster.settings, cluster.kubernetes),
        f"image: {target.image} has to be in its registry",
        *objects.missing_secrets(target),
    ]
    return files, notes


def _load(inventory: str) -> Fleet | Cluster | Project:
    """Return what an inventory describes, or end with what is wrong with it."""
    from wsdeploy.inventory import read  # noqa: PLC0415

    # As pyinfra has it, whose inventories may import what is beside deploy.py.
    sys.path.insert(0, str(Path.cwd()))
    try:
        return read(inventory)
    except ValueError as error:
        sys.exit(str(error))
    except Exception as error:
        sys.exit(f"{inventory}{_line(inventory, error)}: {type(error).__name__}: {error}")


def _line(inventory: str, error: Exception) -> str:
    """Return where in an inventory an error came from: `, line 3`, or nothing."""
    if isinstance(error, SyntaxError):
        return ""
    path = str(Path(inventory).resolve())
    frames = [
        frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename == path
    ]
    return f", line {frames[-1].lineno}" if frames else ""
