"""`wsdeploy init --to`: projects for clusters and platforms."""

import ast
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.unit.project.conftest import Run
from tests.unit.project.test_init import files, next_commands
from wsdeploy import cli
from wsdeploy.project.layout import Project, requirement
from wsdeploy.project.places import PLACES

REPOSITORY = Path(__file__).parents[3]
ELSEWHERE = [name for name in PLACES if name != "hosts"]
PLATFORMS = [name for name in ELSEWHERE if name != "kubernetes"]
COMMON = {
    ".gitignore",
    "config.py",
    "deploy.py",
    "files/app.py",
    "files/requirements.in",
    "files/requirements.txt",
}
KUBERNETES = {
    "pyproject.toml",
    "inventories/kubernetes.py",
    "inventories/base.sh",
    ".github/workflows/kubernetes.yml",
}
WITHOUT_LOCK = ("koyeb", "dokku")
OWN = {
    "registry.example.com": "registry.a-company.com",
    "github.com/your-company": "github.com/a-company",
    "dokku.your-company.com": "dokku.a-company.com",
}
"""What has to be edited, and into what."""


def test_the_option_has_each_place() -> None:
    assert tuple(PLACES) == cli.TO


@pytest.mark.parametrize("to", ELSEWHERE)
def test_a_project_has_what_its_place_needs(run: Run, here: Path, to: str) -> None:
    done = run("init", "--to", to)
    assert done.exit_code == 0, done.output
    platform = {f"inventories/{to}.py", f".github/workflows/{to}.yml"}
    if to not in WITHOUT_LOCK:
        platform.add("pyproject.toml")
    assert files(here) == COMMON | (KUBERNETES if to == "kubernetes" else platform)
    for path in here.rglob("*.py"):
        ast.parse(path.read_text())


@pytest.mark.parametrize("to", ELSEWHERE)
def test_an_inventory_that_is_edited_passes_the_check(
    run: Run, here: Path, git: None, to: str
) -> None:
    run("init", "--to", to, "--domain", "ws.a-company.com", "--secret", "API_KEY")
    (here / "base.tar").write_bytes(b"\0" * 257 + b"ustar")
    inventory = here / f"inventories/{to}.py"
    before = inventory.read_text()
    text = before
    for placeholder, name in OWN.items():
        text = text.replace(placeholder, name)
    if "EDIT: nobody else's" not in before:
        # Whatever has to be edited is marked, and nothing else is.
        assert [line for line in before.splitlines() if "EDIT" in line] == [
            old
            for old, new in zip(before.splitlines(), text.splitlines(), strict=True)
            if old != new
        ]
    inventory.write_text(text)
    done = run("check", f"inventories/{to}.py")
    if to == "kubernetes":
        assert "$API_KEY is not set" in done.output
        assert len(done.output.splitlines()) == 2
    else:
        assert done.exit_code == 0, done.output
        assert f"files for {PLACES[to].title}, no hosts" in done.output


@pytest.mark.parametrize("to", ELSEWHERE)
def test_our_own_inventories_are_such(to: str) -> None:
    made = Project("ws" if to == "kubernetes" else "chat", to=to).files()
    for path, text in made.items():
        if path.startswith("inventories/"):
            assert (REPOSITORY / path).read_text() == text


def test_the_guide_makes_the_same_base() -> None:
    script = Project("ws", to="kubernetes").files()["inventories/base.sh"]
    guide = (REPOSITORY / "docs/guides/kubernetes.md").read_text()
    assert script[script.index("export ") :] in guide


def test_what_comes_next_for_a_cluster(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}")
    done = run("init", "chat", "--to", "kubernetes")
    assert next_commands(done.output) == [
        "cd chat",
        "$EDITOR inventories/kubernetes.py  # the lines marked EDIT: domain, email, image",
        "sudo sh inventories/base.sh  # makes base.tar, with mmdebstrap",
        "uv run wsdeploy check inventories/kubernetes.py",
        "kubectl config current-context  # is it the cluster that you mean?",
        "kubectl create namespace chat  # unless it is there",
        "uv run pyinfra --dry --diff inventories/kubernetes.py deploy.py",
        "uv run pyinfra inventories/kubernetes.py deploy.py",
    ]


@pytest.mark.parametrize(
    ("to", "edit", "runner"),
    [
        ("heroku", "domain, name", "uv run"),
        ("render", "domain", "uv run"),
        ("dokku", "domain, host", f"uv run --no-project --with '{requirement()}'"),
    ],
)
def test_what_comes_next_for_a_platform(
    run: Run, monkeypatch: pytest.MonkeyPatch, to: str, edit: str, runner: str
) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}")
    inventory = f"inventories/{to}.py"
    title = PLACES[to].title
    commands = next_commands(run("init", "--to", to).output)
    assert commands == [
        f"git init  # {title} gets what is committed",
        f"$EDITOR {inventory}  # the lines marked EDIT: {edit}",
        f"{runner} wsdeploy check {inventory}",
        f"{runner} pyinfra {inventory} deploy.py  # writes files, and says what to type next",
    ]
    subprocess.run(["git", "init", "--quiet"], check=True)
    assert next_commands(run("init", "--to", to).output) == commands[1:]


def test_a_project_for_hosts_can_get_a_cluster_too(run: Run, here: Path) -> None:
    run("init")
    before = files(here)
    done = run("init", "--to", "kubernetes")
    assert "left as they are" not in done.output
    assert files(here) == before | KUBERNETES


def test_an_app_of_ones_own_listens_on_a_port(run: Run, here: Path) -> None:
    (here / "web.py").write_text("api = FastAPI()\n@api.get('/healthz')\n")
    (here / "requirements.txt").write_text("uvicorn==0.38.0\n")
    run("init", "--to", "fly", "--app", ".")
    run("init", "--to", "hosts", "--app", ".")
    assert (
        '"--host", "$WS_HOST", "--port", "$WS_PORT"]' in (here / "inventories/fly.py").read_text()
    )
    assert '"--uds", "$WS_SOCKET"]' in (here / "inventories/prod.py").read_text()


@pytest.mark.parametrize(
    ("code", "is_marked"),
    [
        ('os.environ["PORT"]', False),
        ('os.environ["WS_PORT"]', False),
        ('os.environ["WS_SOCKET"]', True),
        ("REPORT = 8000", True),
    ],
)
def test_an_app_that_listens_elsewhere_is_marked(
    run: Run, here: Path, code: str, is_marked: bool
) -> None:
    (here / "chat.py").write_text(f"{code}  # /healthz\n")
    run("init", "--to", "render", "--app", "chat.py")
    line = "# EDIT: let it listen where $WS_HOST and $WS_PORT say: docs/guides/apps.md"
    assert (line in (here / "inventories/render.py").read_text()) == is_marked


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ["--host", "192.0.2.1"],
            "--host: --to fly has no hosts of yours; leave out one of the two",
        ),
        (["--proxy", "nginx"], "--proxy: --to fly has no hosts of yours; leave out one of the two"),
        (
            ["--secret", "DEPLOY_KUBECONFIG"],
            "--secret DEPLOY_KUBECONFIG: the workflow deploys with",
        ),
    ],
)
def test_what_belongs_to_hosts_is_refused(
    run: Run, here: Path, words: list[str], said: str
) -> None:
    done = run("init", "--to", "fly", *words)
    assert done.exit_code == 1
    assert done.output.startswith(said)
    assert files(here) == set()


@pytest.mark.parametrize("to", [*PLACES])
def test_workflows_are_sound(run: Run, here: Path, to: str) -> None:
    run("init", "--to", to, "--secret", "API_KEY")
    zizmor = Path(sys.executable).with_name("zizmor")
    done = subprocess.run(
        [zizmor, "--quiet", "--offline", ".github"],
        cwd=here,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    (workflow,) = here.rglob("*.yml")
    text = workflow.read_text()
    used = re.findall(r"uses: (.*)", text)
    assert len(used) == 2
    for each in used:
        assert re.fullmatch(r"[\w/-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", each)
    # The values of secrets are nobody's business where only files are written.
    assert ("${{ secrets.API_KEY }}" in text) == (to not in PLATFORMS)
    assert ("--locked" in text) == (here / "pyproject.toml").is_file()


def test_where_two_locks_are_refused_no_project_makes_the_second(run: Run, here: Path) -> None:
    run("init", "--to", "heroku")
    declared = tomllib.loads((here / "pyproject.toml").read_text())
    assert declared["dependency-groups"]["deploy"] == [requirement()]
    run("init", "koyeb", "--to", "koyeb")
    assert not (here / "koyeb/pyproject.toml").exists()
    text = (here / "koyeb/.github/workflows/koyeb.yml").read_text()
    assert f"run --no-project --with '{requirement()}' pyinfra -y inventories/koyeb.py" in text
