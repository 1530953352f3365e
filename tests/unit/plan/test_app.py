"""The generation of processes: what makes a new one, what it consists of, what is drift."""

import configparser
import dataclasses
import hashlib
import json
import os
import shlex
from typing import Any

import pytest

from tests.unit.plan.conftest import MakeSettings, MakeSurvey
from wsdeploy import App, FromEnv, HAProxy, Nginx, Probe, SelfSigned
from wsdeploy.plan.app import generation, supervisor
from wsdeploy.plan.components import SUPERVISOR
from wsdeploy.plan.host import paths
from wsdeploy.plan.host.files import File
from wsdeploy.plan.host.survey import PathState, Process, Survey
from wsdeploy.plan.target import Target
from wsdeploy.release import contents
from wsdeploy.settings import Settings
from wshost.requests import Commit

RELEASE, MAIN = "0123456789ab", "app/app.py"
OTHER = "f" * 12
HOST = "one"


def planned(
    settings: Settings, survey: Survey, host: str = HOST, release: str = RELEASE, main: str = MAIN
) -> generation.Generation:
    return generation.planned(Target(settings, host, survey), release, main)


def generation_id(settings: Settings, survey: Survey, **more: str) -> str:
    return planned(settings, survey, **more).id


@pytest.fixture
def base(make: MakeSettings, debian: MakeSurvey) -> str:
    return generation_id(make(), debian())


def test_an_id_is_stable_and_safe_in_names(
    make: MakeSettings, debian: MakeSurvey, base: str
) -> None:
    assert generation_id(make(), debian()) == base
    assert len(base) == 12
    assert set(base) <= set("0123456789abcdef")


def test_what_processes_see_makes_a_new_generation(
    make: MakeSettings, debian: MakeSurvey, base: str
) -> None:
    changes = (
        {"processes": 5},
        {"env": {"TOKEN": "x"}},
        {"drain": 31},
        {"close_code": 1001},
        {"compression": "off"},
        {"max_size": 1},
        {"ping_interval": 21},
        {"ping_timeout": 21},
        {"log_level": "debug"},
        {"command": ["python", "-m", "chat"]},
        {"listen": "tcp"},
        {"listen": "shared"},
        {"listen": "tcp", "port": 9000},
    )
    found = [base, *(generation_id(make(change), debian()) for change in changes)]
    assert len(set(found)) == len(found)


def test_each_value_of_a_variable_makes_another_generation(
    make: MakeSettings, debian: MakeSurvey
) -> None:
    values = ["x", "y", "", "x\n", 'x"\nY="z', "\u2028"]
    found = {generation_id(make({"env": {"A": value}}), debian()) for value in values}
    assert len(found) == len(values)


def test_order_of_variables_does_not_matter(make: MakeSettings, debian: MakeSurvey) -> None:
    one, two = {"A": "1", "B": "2"}, {"B": "2", "A": "1"}
    assert generation_id(make({"env": one}), debian()) == generation_id(
        make({"env": two}), debian()
    )


def test_another_release_or_main_file_makes_a_new_generation(
    make: MakeSettings, debian: MakeSurvey, base: str
) -> None:
    assert generation_id(make(), debian(), release=OTHER) != base
    assert generation_id(make(), debian(), main="app/other.py") != base


def test_another_limit_of_open_files_makes_a_new_generation(
    make: MakeSettings, debian: MakeSurvey, base: str
) -> None:
    assert generation_id(make(max_connections=50_000), debian()) != base
    assert generation_id(make(), debian(open_files=5000)) != base


def test_what_processes_do_not_see_makes_none(
    make: MakeSettings, debian: MakeSurvey, base: str
) -> None:
    for changes in (
        {"proxy": Nginx(shutdown_timeout=60, access_log=False)},
        {"tls": SelfSigned(names=("10.0.0.1",), days=7)},
        {"domain": "other.a-company.com"},
        {"firewall": False},
        {"app": {"probe": Probe("/other", send="x", expect="x")}},
        {"app": {"health": None}},
        {"app": {"start_timeout": 5}},
        {"app": {"port": 9000}},
        {"app": {"reuse_port": False}},
    ):
        assert generation_id(make(**changes), debian()) == base, changes


def test_what_else_is_on_the_host_makes_none(
    make: MakeSettings, debian: MakeSurvey, base: str
) -> None:
    more = {
        "users": ("ws",),
        "paths": {"/srv/ws": PathState("directory", 0o755, "root", "root")},
        "packages": {"nginx": "1.26.3", "openssl": "3.5.0", "supervisor": "4.2.5"},
        "processes": (),
    }
    assert generation_id(make(), debian(**more)) == base
    # More processors make more processes, unless their number is given.
    assert generation_id(make(), debian(processors=64)) != base
    assert generation_id(make({"processes": 2}), debian(processors=64)) == base


def test_other_hosts_make_none(tiers: MakeSettings, debian: MakeSurvey) -> None:
    base = generation_id(tiers(), debian(), host="app1")
    fewer = {"app": [("app1", {"private_address": "10.0.0.1"})]}
    assert generation_id(tiers(groups=fewer), debian(), host="app1") == base


def described(wanted: generation.Generation) -> dict[str, Any]:
    """What the file beside Supervisor's says."""
    told: dict[str, Any] = json.loads(files(wanted)[paths.description("ws", wanted.id)].content)
    return told


def files(wanted: generation.Generation) -> dict[str, File]:
    return {file.path: file for file in wanted.files}


def test_the_environment_is_for_the_app_only(make: MakeSettings, debian: MakeSurvey) -> None:
    wanted = planned(make({"env": {"TOKEN": "s3cret"}}), debian())
    environment = files(wanted)[paths.environment("ws", wanted.id)]
    assert (environment.mode, environment.owner, environment.group) == (0o640, "root", "ws")
    assert environment.secret
    assert "s3cret" in environment.content
    others = [file for file in wanted.files if file != environment]
    assert others
    assert not any("s3cret" in file.content for file in others)


def test_a_users_variable_wins(make: MakeSettings, debian: MakeSurvey) -> None:
    values = generation.environment(
        Target(make({"env": {"LANG": "de_DE.UTF-8", "HOME": "/x"}}), "one", debian())
    )
    assert (values["LANG"], values["HOME"]) == ("de_DE.UTF-8", "/x")


def program(wanted: generation.Generation) -> tuple[str, dict[str, str]]:
    """Supervisor's file for a generation, as Supervisor reads it."""
    conf = files(wanted)[paths.program("ws", wanted.id)]
    # As supervisor.options.UnhosedConfigParser does, but for its expansions.
    parser = configparser.RawConfigParser(inline_comment_prefixes=(";", "#"))
    parser.read_string(conf.content)
    (section,) = parser.sections()
    return section, dict(parser[section])


def command(wanted: generation.Generation) -> list[str]:
    """The words that Supervisor runs; it expands the whole line before it splits it."""
    return shlex.split(program(wanted)[1]["command"] % {"process_num": 0})


def test_supervisors_file(make: MakeSettings, debian: MakeSurvey) -> None:
    wanted = planned(make({"processes": 7, "drain": 120}), debian())
    section, values = program(wanted)
    assert section == f"program:ws-{wanted.id}"
    assert values["numprocs"] == "7"
    assert values["user"] == "ws"
    assert values["stopsignal"] == "TERM"
    assert int(values["stopwaitsecs"]) > 120
    assert values["directory"] == paths.sockets("ws", wanted.id)
    # The names that sockets, logs, the proxy and the rollout go by.
    assert values["process_name"] % {"process_num": 6} == "ws_06"
    assert "environment" not in values, "it would be there for all to read"


def test_what_supervisor_runs(make: MakeSettings, debian: MakeSurvey) -> None:
    wanted = planned(make(), debian())
    assert command(wanted) == [
        "/usr/bin/python3",
        "-I",
        f"/srv/ws/releases/{RELEASE}/launch.py",
        paths.description("ws", wanted.id),
        "python",
        f"/srv/ws/releases/{RELEASE}/{MAIN}",
    ]
    found = described(wanted)
    assert found["environment"] == paths.environment("ws", wanted.id)
    assert found["open_files"] == 10128
    assert found["processes"] == 2


def test_where_processes_listen(
    make: MakeSettings, tiers: MakeSettings, debian: MakeSurvey
) -> None:
    for settings, host, listen in (
        (make({"listen": "tcp", "port": 9000}), HOST, "tcp:127.0.0.1:9000"),
        (make({"listen": "shared"}), HOST, "shared:127.0.0.1:8000"),
        (tiers(), "app1", "tcp:10.0.0.1:8000"),
        (tiers({"listen": "shared", "port": 9000}), "app2", "shared:fd00::2:9000"),
    ):
        wanted = planned(settings, debian(), host=host)
        assert described(wanted)["listen"] == listen
    wanted = planned(make(), debian())
    assert described(wanted)["listen"] == f"unix:/run/ws/{wanted.id}"


def test_a_command_of_the_users_own(make: MakeSettings, debian: MakeSurvey) -> None:
    words = ["python", "-m", "chat", "--socket", "$WS_SOCKET", "100% it's", '"']
    assert command(planned(make({"command": words}), debian()))[4:] == words


def launched(settings: Settings, survey: Survey, name: str) -> str:
    """The path that Python is given, if this is the name of the app's file."""
    wanted = planned(settings, survey, main=f"app/{name}")
    # As launch.py does.
    return os.path.expandvars(command(wanted)[-1])


def test_any_name_of_the_apps_file(make: MakeSettings, debian: MakeSurvey) -> None:
    for name in ("my app.py", "it's.py", "100%.py", "%(process_num)02d.py", 'a"b\\c.py'):
        found = launched(make(), debian(), name)
        assert found == f"/srv/ws/releases/{RELEASE}/app/{name}"


COMMIT: Commit = {"id": "4f0c9de", "subject": "Add rooms", "changed": False}


def test_the_request_says_what_the_rollout_needs(make: MakeSettings, debian: MakeSurvey) -> None:
    settings = make(
        {"probe": Probe("/chat", "x", "y"), "start_timeout": 7, "reuse_port": False, "health": "/h"}
    )
    wanted = planned(settings, debian())
    request = generation.rollout(
        Target(settings, "one", debian()),
        wanted,
        version="v",
        by="anna@laptop",
        remaining=("app2",),
        commit=COMMIT,
    )
    assert request == {
        "name": "ws",
        "by": "anna@laptop",
        "later": ["app2"],
        "version": "v",
        "commit": COMMIT,
        "generation": wanted.id,
        "release": RELEASE,
        "description": wanted.description,
        "program": wanted.program,
        "environment": wanted.environment,
        "boot": wanted.boot,
        "reuse_port": False,
        "start_timeout": 7,
        "healthy_for": 2,
        "stop_wait": 48,
        "back_after": 0,
        "probe": {
            "host": "ws.a-company.com",
            "health": "/h",
            "path": "/chat",
            "send": "x",
            "expect": "y",
        },
    }
    # The host fills its files in, and so does the plan.
    program, description, environment, boot = (file.content for file in wanted.files)
    for text in program, description, boot:
        assert wanted.id in text
        assert "@" not in text
    assert json.loads(description) == described(wanted)
    assert environment == wanted.environment


def test_a_replacement_waits_for_the_proxies(make: MakeSettings, debian: MakeSurvey) -> None:
    """Longer than HAProxy takes to look again; nginx asks with the next handshake."""
    for groups, proxy, least in (("alone", HAProxy(), 0.2), ("tiers", Nginx(), -1)):
        settings = make(groups=groups, proxy=proxy)
        host = settings.topology.app[0]
        wanted = generation.planned(Target(settings, host, debian()), RELEASE, MAIN)
        request = generation.rollout(
            Target(settings, "one", debian()), wanted, version="v", by="anna", remaining=()
        )
        assert request["back_after"] > least


def test_without_a_ping_timeout(make: MakeSettings, debian: MakeSurvey) -> None:
    """The proxy's own time-out is what finds a dead client then: three pings, and a margin."""
    settings = make({"ping_timeout": None, "ping_interval": 20})
    assert generation.environment(Target(settings, "one", debian()))["WS_PING_TIMEOUT"] == "off"
    assert Target(settings, "one", debian()).limits.idle_timeout == 20 + 40 + 15


def on_host(file: File) -> PathState:
    digest = hashlib.sha256(file.content.encode()).hexdigest()
    return PathState("file", file.mode, file.owner, file.group, sha256=digest)


@pytest.fixture
def live(make: MakeSettings, debian: MakeSurvey) -> tuple[Settings, Survey, generation.Generation]:
    """Settings, and what is on a host where the wanted generation serves, and that generation."""
    settings, survey = make({"processes": 3}), debian()
    wanted = planned(settings, survey)
    name = wanted.id
    there = {
        paths.sockets("ws", "current"): PathState("link", 0o777, "root", "root", target=name),
        paths.sockets("ws", name): PathState("directory", 0o2750, "ws", "ws-proxy"),
        **{file.path: on_host(file) for file in wanted.files},
        "/srv/ws/current": PathState("link", 0o777, "root", "root", target=f"releases/{RELEASE}"),
        f"/srv/ws/releases/{RELEASE}": PathState("directory", 0o755, "root", "root"),
        paths.record("ws", name): PathState("file", 0o600, "root", "root", sha256="0"),
        "/etc/ws/tls": PathState("directory", 0o700, "root", "root"),
    }
    processes = tuple(
        Process(f"ws-{name}", f"ws_{number:02d}", "RUNNING", 100 + number, 1) for number in range(3)
    )
    return settings, dataclasses.replace(survey, paths=there, processes=processes), wanted


def test_nothing_drifts_on_a_converged_host(
    live: tuple[Settings, Survey, generation.Generation],
) -> None:
    settings, survey, wanted = live
    assert generation.drift(Target(settings, "one", survey), wanted) == []
    assert generation.leftovers(Target(settings, "one", survey), wanted.id) == []
    assert generation.live(Target(settings, "one", survey)) == wanted.id


def test_nothing_is_live_on_a_new_host(make: MakeSettings, debian: MakeSurvey) -> None:
    wanted = planned(make(), debian())
    assert generation.live(Target(make(), "one", debian())) is None
    assert generation.drift(Target(make(), "one", debian()), wanted) == [
        f"generation None is live, not {wanted.id}"
    ]


def test_another_generation_is_live(live: tuple[Settings, Survey, generation.Generation]) -> None:
    settings, survey, wanted = live
    other = dataclasses.replace(wanted, id=OTHER)
    assert generation.drift(Target(settings, "one", survey), other) == [
        f"generation {wanted.id} is live, not {OTHER}"
    ]


def test_a_process_that_does_not_run(live: tuple[Settings, Survey, generation.Generation]) -> None:
    settings, survey, wanted = live
    first, *rest = survey.processes or ()
    for state in ("STOPPED", "FATAL", "BACKOFF", "STARTING", "EXITED", "STOPPING"):
        processes = (dataclasses.replace(first, statename=state), *rest)
        changed = dataclasses.replace(survey, processes=processes)
        assert generation.drift(Target(settings, "one", changed), wanted) == [f"ws_00 is {state}"]


def test_processes_that_are_missing(live: tuple[Settings, Survey, generation.Generation]) -> None:
    settings, survey, wanted = live
    missing = dataclasses.replace(survey, processes=(survey.processes or ())[:-1])
    assert generation.drift(Target(settings, "one", missing), wanted) == ["ws_02 is missing"]
    # Supervisor does not answer, or knows nothing.
    for none in (None, ()):
        survey = dataclasses.replace(survey, processes=none)
        assert len(generation.drift(Target(settings, "one", survey), wanted)) == 3


def test_what_a_restart_needs(live: tuple[Settings, Survey, generation.Generation]) -> None:
    settings, survey, wanted = live
    for path in (
        paths.boot("ws"),
        paths.program("ws", wanted.id),
        paths.environment("ws", wanted.id),
        # Left out if a rollout is killed between its two links; a rollback needs it.
        "/srv/ws/current",
    ):
        spoilt = dataclasses.replace(survey.paths[path], sha256="0" * 64, target="releases/another")
        for there in (
            {name: entry for name, entry in survey.paths.items() if name != path},
            {**survey.paths, path: spoilt},
        ):
            changed = dataclasses.replace(survey, paths=there)
            assert generation.drift(Target(settings, "one", changed), wanted) == [path]


def leftovers(
    live: tuple[Settings, Survey, generation.Generation], *there: str, group: str | None = None
) -> list[str]:
    settings, survey, wanted = live
    more = {path: PathState("other", 0, "root", "root") for path in there}
    processes = survey.processes or ()
    if group:
        processes += (Process(group, "worker", "RUNNING", 9, 1),)
    survey = dataclasses.replace(survey, paths={**survey.paths, **more}, processes=processes)
    # What no longer serves is not in the way of what does.
    assert generation.drift(Target(settings, "one", survey), wanted) == []
    return generation.leftovers(Target(settings, "one", survey), wanted.id)


def test_what_is_left_over(live: tuple[Settings, Survey, generation.Generation]) -> None:
    assert leftovers(live, group=f"ws-{OTHER}") == [f"ws-{OTHER} is left over"]
    for path in (
        f"/run/ws/{OTHER}",
        f"/etc/supervisor/conf.d/ws-{OTHER}.conf",
        f"/etc/ws/{OTHER}.env",
    ):
        assert leftovers(live, path) == [f"{path} is left over"]


def test_what_is_not_left_over(live: tuple[Settings, Survey, generation.Generation]) -> None:
    for path in (
        f"/srv/ws/releases/{OTHER}",  # earlier releases stay for a rollback
        "/run/ws/local",
        "/etc/ws/local.env",
        "/etc/supervisor/conf.d/ws-celery.conf",
        f"/etc/supervisor/conf.d/ws-chat-{OTHER}.conf",
        "/etc/supervisor/conf.d/celery.conf",
    ):
        assert leftovers(live, path) == []
    for group in ("ws-celery", f"ws-chat-{OTHER}", f"chat-ws-{OTHER}", "celery"):
        assert leftovers(live, group=group) == []


def test_the_request_asks_for_all_that_is_looked_at(make: MakeSettings) -> None:
    asked = SUPERVISOR.request(Target.unknown(make(), HOST))
    assert "supervisor" in asked.packages
    assert supervisor.UNIT in asked.units
    assert set(asked.paths) >= {
        paths.sockets("ws", "*"),
        paths.environment("ws", "*"),
        paths.program("ws", "*"),
        paths.boot("ws"),
        f"{paths.releases('ws')}/*",
        "/srv/ws/*",
    }


def test_release_and_generation_go_together(make: MakeSettings, debian: MakeSurvey) -> None:
    release = contents.release(make(), debian())
    wanted = planned(make(), debian(), release=release.id, main=release.main)
    assert command(wanted)[-1].endswith(f"{release.id}/{release.main}")


def test_rooms_of_services_that_share_a_broker_are_told_apart() -> None:
    app = App("app.py", secrets={"WS_BROKER": FromEnv("REDIS_URL")})
    assert app.broker_variables("chat") == {"WS_BROKER_PREFIX": "chat"}
    # Without a broker, the environment is what it was; one's own prefix is kept.
    assert App("app.py").broker_variables("chat") == {}
    assert dataclasses.replace(app, env={"WS_BROKER_PREFIX": "all"}).broker_variables("chat") == {}
