"""`wsdeploy check`: all mistakes at once, and exit codes."""

from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from click.testing import Result

from tests.unit.project.conftest import Run

HEAD = "from wsdeploy import *\n"
TIERS = HEAD + (
    'settings = Settings("ws.a-company.com", App("app.py"), SelfSigned())\n'
    "app, proxy = hosts(settings, "
    'app=[("app1", {"private_address": "10.0.0.1"}), ("app2", {"private_address": "10.0.0.2"})], '
    'proxy=[("lb1", {"private_address": "10.0.0.9"})])\n'
)


@pytest.fixture
def check(run: Run, here: Path) -> Callable[[str], Result]:
    """Check an inventory of this text."""
    (here / "app.py").write_text("")

    def checked(text: str) -> Result:
        (here / "prod.py").write_text(text)
        return run("check", "prod.py")

    return checked


def test_no_mistake(check: Callable[[str], Result]) -> None:
    done = check(TIERS)
    assert done.output == "prod.py: no problem found; 3 hosts (app: app1, app2; proxy: lb1)\n"
    assert done.exit_code == 0


PLATFORM = HEAD + (
    'settings = Settings("ws.a-company.com", App("app.py", drain=1), SelfSigned())\n'
    "project = platform(settings, Heroku())\n"
)


def test_an_inventory_for_a_platform(check: Callable[[str], Result], run: Run) -> None:
    done = check(PLATFORM)
    assert done.exit_code == 0
    first, *notes = done.output.splitlines()
    assert first == "prod.py: no problem found; 5 files for Heroku, no hosts"
    assert "  what hosts have and Heroku has not: " in notes[0]
    assert "==> Procfile\nweb: sh .wsdeploy/start\n" in run("render", "prod.py").output


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("render", "prod.py", "app1"), "prod.py has a platform and no hosts; leave out app1\n"),
        (
            ("render", "prod.py", "--output", "out"),
            "--output: pyinfra prod.py deploy.py writes them into this project\n",
        ),
        (
            ("image", "prod.py", "--output", "out"),
            "prod.py has a platform and no cluster; say service = pods(settings, ...)\n",
        ),
    ],
)
def test_what_is_for_hosts_and_clusters_alone(
    check: Callable[[str], Result], run: Run, here: Path, words: tuple[str, ...], said: str
) -> None:
    check(PLATFORM)
    done = run(*words)
    assert (done.exit_code, done.output) == (1, said)
    assert not (here / "out").exists()


def test_all_mistakes_as_a_run_says_them(check: Callable[[str], Result]) -> None:
    wrong = (
        'app, proxy = hosts(Settings("ws.example.com", App("no.py"), SelfSigned()), app=["a b"])'
    )
    done = check(f"{HEAD}{wrong}\n")
    assert done.exit_code == 1
    first, *lines = done.output.splitlines()
    assert first == "prod.py: 3 problems; no host was contacted"
    assert [line.split(": ")[0] for line in lines if line] == ["  domain", "  app.path", "  app"]


CLUSTER = HEAD + (
    'settings = Settings("ws.a-company.com", App("app.py"), Acme("ops@a-company.com"))\n'
    'image = Image("a-company.com/chat", base="debian@sha256:" + "a" * 64)\n'
    'service = pods(settings, Kubernetes("chat", image, Ingress(issuer="a")))\n'
)


@pytest.mark.parametrize(
    "text",
    [
        TIERS + CLUSTER,
        PLATFORM + TIERS,
        CLUSTER + PLATFORM,
        CLUSTER + "again = pods(settings, Kubernetes('chat2', image, Ingress(issuer='a')))\n",
    ],
)
def test_one_inventory_deploys_to_one_place(check: Callable[[str], Result], text: str) -> None:
    done = check(text)
    assert done.exit_code == 1
    assert done.output == (
        "prod.py has more than one of hosts, clusters and platforms; give each an inventory of its "
        "own\n"
    )


def test_a_group_may_have_two_names(check: Callable[[str], Result]) -> None:
    assert check(CLUSTER + "same = service\n").exit_code == 0


def test_what_a_cluster_keeps_only_in_part_is_said(check: Callable[[str], Result]) -> None:
    done = check(CLUSTER.replace('App("app.py")', 'App("app.py", env={"REGION": "eu"})'))
    first, *notes = done.output.splitlines()
    assert first == "prod.py: no problem found; a cluster (namespace chat)"
    assert [note.partition(": ")[0] for note in notes] == [
        "  app.env",
        "  tls.email",
        "  image",
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("one = 1\n", "prod.py has no groups; say app, proxy = hosts(settings, app=[...])"),
        ("\nprint(nothing)\n", "prod.py, line 2: NameError: name 'nothing' is not defined"),
        ("import nothing_of_that_name\n", "prod.py, line 1: ModuleNotFoundError: No module "),
        ("settings = (\n", "prod.py: SyntaxError: '(' was never closed"),
    ],
)
def test_what_is_no_inventory(check: Callable[[str], Result], text: str, said: str) -> None:
    done = check(text)
    assert done.exit_code == 1
    assert done.output.startswith(said)
    assert len(done.output.splitlines()) == 1


def test_templates_of_ones_own_are_read(check: Callable[[str], Result], here: Path) -> None:
    nginx = here / "templates" / "nginx"
    nginx.mkdir(parents=True)
    (nginx / "nginx.conf.j2").write_text("{{ nothing }}")
    done = check(TIERS)
    assert done.exit_code == 1
    where = "prod.py: templates/nginx/nginx.conf.j2: 'nothing' is undefined"
    assert done.output == f"{where}; no host was contacted\n"


def test_an_inventory_that_is_not_there(run: Run) -> None:
    done = run("check", "no.py")
    assert done.exit_code == 2
    assert "'no.py' does not exist" in done.output


def test_the_list_of_commands_cuts_no_sentence(run: Run) -> None:
    said = run("--help").output.partition("Commands:\n")[2]
    assert [line.split()[0] for line in said.splitlines()] == [
        "bundle", "capacity", "check", "image", "init", "prometheus", "render"
    ]  # fmt: skip
    assert "..." not in said


def test_what_prometheus_has_to_be_told(check: Callable[[str], Result], run: Run) -> None:
    check(TIERS)
    done = run("prometheus", "prod.py")
    assert (done.exit_code, done.output) == (
        1, 'prod.py has no metrics; give Settings(metrics=Metrics(allow=["ADDRESS"]))\n',
    )  # fmt: skip
    check(TIERS.replace("SelfSigned())", 'SelfSigned(), metrics=Metrics(["10.0.0.5"], port=9200))'))
    (job,) = yaml.safe_load(run("prometheus", "prod.py").output)["scrape_configs"]
    assert [(each["targets"], each["labels"]) for each in job["static_configs"]] == [
        (["10.0.0.1:9200"], {"service": "ws", "host": "app1"}),
        (["10.0.0.2:9200"], {"service": "ws", "host": "app2"}),
        (["10.0.0.9:9200"], {"service": "ws", "host": "lb1"}),
    ]


def test_a_platform_has_nothing_for_prometheus(check: Callable[[str], Result], run: Run) -> None:
    check(PLATFORM)
    assert "prod.py has no hosts" in run("prometheus", "prod.py").output
