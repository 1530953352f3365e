"""`wsdeploy init`: new projects, in empty folders and around apps that exist."""

import ast
import errno
import os
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

from tests.unit.project.conftest import Init, Run
from wsdeploy.project import layout
from wsdeploy.project.entry import literal
from wsdeploy.project.layout import Project
from wsdeploy_sandbox import host

REPOSITORY = Path(__file__).parents[3]
ALL = {
    ".github/workflows/deploy.yml",
    ".gitignore",
    "config.py",
    "deploy.py",
    "files/app.py",
    "files/requirements.in",
    "files/requirements.txt",
    "inventories/prod.py",
    "inventories/sandbox.py",
    "pyproject.toml",
    "templates/README.md",
    "tests/hosts/conftest.py",
}


def files(folder: Path) -> set[str]:
    return {
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.is_file() and ".git" not in path.parts
    }


def next_commands(output: str) -> list[str]:
    return [line.strip() for line in output.partition("Next:\n")[2].splitlines()]


def test_a_folder_that_is_not_there_becomes_a_project(
    run: Run, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}")
    done = run("init", "chat")
    assert done.exit_code == 0, done.output
    assert done.output.startswith("chat: 12 new files:\n")
    assert files(here) == {f"chat/{path}" for path in ALL}
    for path in (here / "chat").rglob("*.py"):
        ast.parse(path.read_text())
    assert next_commands(done.output) == [
        "cd chat",
        "uv run pyinfra inventories/sandbox.py deploy.py  # try it here: Linux, as root",
        "uv run pyinfra inventories/sandbox.py wsdeploy.certificates  # to talk to it:",
        "SSL_CERT_FILE=certificates/chat.sandbox.test.pem "
        "uv run python -m websockets wss://chat.sandbox.test/",
        "$EDITOR inventories/prod.py  # the lines marked EDIT: domain, email, host",
        "uv run wsdeploy check inventories/prod.py",
        "uv run pyinfra inventories/prod.py deploy.py",
    ]


@pytest.mark.parametrize(
    ("folder", "line"),
    [
        ("my chat", "cd 'my chat'"),
        ("$(id)", "cd '$(id)'"),
        ("-x", "cd ./-x"),
        ("\x1b[2J", "cd '\\x1b[2J'"),
    ],
)
def test_folders_with_strange_names(run: Run, here: Path, folder: str, line: str) -> None:
    done = run("init", "--", folder)
    assert next_commands(done.output)[0] == line
    assert (here / folder / "deploy.py").is_file()
    assert done.output.replace("\n", "").isprintable()


def test_a_refusal_spells_strange_names(run: Run, here: Path) -> None:
    (here / "\x1b").mkdir()
    (here / "\x1b/tests").write_text("")
    done = run("init", "\x1b")
    assert done.output == "\\x1b/tests: a folder has to be here; nothing was written\n"


def test_what_the_app_lacks_comes_before_the_sandbox(run: Run, here: Path) -> None:
    (here / "chat.py").write_text("import websockets\n")
    edit, sandbox, *rest = next_commands(run("init", "--app", "chat.py").output)
    assert edit == (
        "$EDITOR inventories/sandbox.py inventories/prod.py  # the lines marked EDIT: app"
    )
    assert "pyinfra inventories/sandbox.py deploy.py" in sandbox
    assert "$EDITOR inventories/prod.py  # the lines marked EDIT: domain, email, host" in rest


def test_an_inventory_that_is_there_keeps_its_app(run: Run, here: Path) -> None:
    run("init")
    (here / "main.py").write_text("")
    done = run("init", "--app", "main.py")
    wanted = "  --app changes no inventory that is there: name the app in its App(...)\n"
    assert wanted in done.output


def test_sandbox_hosts_have_the_names_that_are_printed() -> None:
    assert host.DOMAIN == layout.SANDBOX_DOMAIN


def test_our_own_repository_is_such_a_project() -> None:
    made = Project("ws").files()
    differs = [
        path
        for path, text in made.items()
        # Of this repository, these say more.
        if path not in ("pyproject.toml", ".gitignore", "templates/README.md")
        and path != ".github/workflows/deploy.yml"
        and (REPOSITORY / path).read_text() != text
    ]
    assert differs == []


def test_what_can_be_guessed_is_not_asked_for(run: Run, here: Path, git: None) -> None:
    done = run("init", "my_chat", "--domain", "ws.a-company.com", "--host", "root@192.0.2.1")
    text = (here / "my_chat/inventories/prod.py").read_text()
    assert "EDIT" not in text
    assert 'Acme(email="ops@a-company.com")' in text
    assert 'name="my-chat",' in text
    assert "EDIT" not in done.output
    assert run("check", "my_chat/inventories/prod.py").exit_code == 1, "paths are relative"


@pytest.mark.parametrize(
    ("remote", "name"),
    [
        ("git@github.com:a-company/Chat.Server.git", "chat-server"),
        ("https://github.com/a-company/chat-server", "chat-server"),
        ("https://bot:ghp_0a@gitlab.com/a-company/team/chat-server.git/", "chat-server"),
        ("ssh://git@git.a-company.com:2222/~anna/chat-server.git", "chat-server"),
        ("git@github.com:ghp_0a", "here"),
        ("https://github.com/ghp_0a", "here"),
        ("https://git.a-company.com/?token=0a", "here"),
        ("https://git.a-company.com/a-company/chat?token=0a", "here"),
        ("https://bot:gh/p_0a@git.a-company.com/chat", "here"),
        ("../chat.git", "here"),
    ],
)
def test_a_repository_has_the_name_of_its_remote(
    run: Run, here: Path, remote: str, name: str
) -> None:
    def git(*words: str) -> None:
        subprocess.run(["git", *words], cwd=here, check=True, capture_output=True)

    git("init")
    git("remote", "add", "origin", remote)
    run("init")
    assert f'    name="{name}",' in (here / "inventories/prod.py").read_text()


@pytest.mark.parametrize(
    ("folder", "name"),
    [("chat", "chat"), ("nginx", None), ("42", None), ("ws", None), ("a" * 30, "a" * 20)],
)
def test_names_of_services(run: Run, here: Path, folder: str, name: str | None) -> None:
    run("init", folder)
    text = (here / folder / "inventories/prod.py").read_text()
    found = re.findall(r'^    name="(.*?)",', text, re.MULTILINE)
    assert found == ([name] if name else [])


def test_its_inventory_passes_the_check(init: Init, run: Run, git: None) -> None:
    init()
    done = run("check", "inventories/prod.py")
    assert done.exit_code == 0, done.output
    assert done.output == (
        "inventories/prod.py: no problem found; 1 host (app and proxy: 192.0.2.1)\n"
    )


def test_haproxy_and_several_hosts(run: Run, here: Path, git: None) -> None:
    words = (
        "--host",
        "admin@192.0.2.1",
        "--host",
        "admin@192.0.2.2",
        "--domain",
        "ws.a-company.com",
    )
    run("init", "--proxy", "haproxy", *words)
    text = (here / "inventories/prod.py").read_text()
    assert "    proxy=HAProxy(),\n" in text
    assert 'ssh_user="admin"' in text
    done = run("check", "inventories/prod.py")
    assert "2 hosts (app and proxy: 192.0.2.1, 192.0.2.2)" in done.output


def test_files_that_are_there_are_left(run: Run, here: Path) -> None:
    theirs = {
        "pyproject.toml": '[project]\nname = "mine"\nversion = "1"\n',
        ".gitignore": "*.log\n",
        "config.py": "DEBUG = True\n",
        "deploy.py": "print('mine')\n",
        "templates/index.html": "<p>\n",
        "inventories/prod.py": "# mine\n",
    }
    for path, text in theirs.items():
        (here / path).parent.mkdir(exist_ok=True)
        (here / path).write_text(text)
    done = run("init")
    assert {path: (here / path).read_text() for path in theirs} == theirs
    assert files(here) == (ALL | theirs.keys()) - {"templates/README.md"}
    (kept,) = re.findall(r"left as they are: (.*)", done.output)
    assert set(kept.split(", ")) == theirs.keys() - {"templates/index.html"}
    for line in (
        ".gitignore: add /certificates/ and pyinfra-debug.log",
        "config.py: pyinfra reads it, too; add: from wsdeploy.deploy import start; ",
        "deploy.py: add: from wsdeploy.deploy.service import service; service()",
    ):
        assert f"\n  {line}" in done.output
    # Without wsdeploy in the project, none of the others would run.
    assert next_commands(done.output)[0] == "uv add --dev 'wsdeploy[checks]>=0.1,<0.2'"


def test_what_a_cluster_needs_stays_out_of_git(run: Run, here: Path) -> None:
    run("init")
    assert {"/image/", "*.tar"} < {*(here / ".gitignore").read_text().splitlines()}


def test_again_it_changes_nothing(run: Run, here: Path) -> None:
    run("init")
    before = {path: (here / path).stat().st_mtime_ns for path in files(here)}
    done = run("init")
    assert ".: 0 new files\n" in done.output
    assert "left as they are" not in done.output
    assert {path: (here / path).stat().st_mtime_ns for path in files(here)} == before


@pytest.mark.parametrize("target", ["../out", "../nothing"])
def test_a_folder_that_leads_elsewhere_is_not_written_to(run: Run, here: Path, target: str) -> None:
    (here.parent / "out").mkdir()
    (here / "inventories").symlink_to(target)
    done = run("init")
    assert done.exit_code == 1
    assert re.fullmatch(r"inventories: .*; nothing was written\n", done.output)
    assert files(here) == files(here.parent / "out") == set()


def test_a_folder_may_be_a_link_inside_the_project(run: Run, here: Path) -> None:
    (here / "fleet").mkdir()
    (here / "inventories").symlink_to("fleet")
    assert run("init").exit_code == 0
    assert "fleet/prod.py" in files(here)


@pytest.mark.parametrize("blocked", ["tests", "tests/hosts", ".github"])
def test_a_file_in_the_place_of_a_folder_makes_nothing(run: Run, here: Path, blocked: str) -> None:
    (here / "one" / blocked).parent.mkdir(parents=True)
    (here / "one" / blocked).write_text("")
    done = run("init", "one")
    assert done.exit_code == 1
    assert done.output == f"one/{blocked}: a folder has to be here; nothing was written\n"
    assert files(here) == {f"one/{blocked}"}


def test_a_project_below_a_file_is_not_made(run: Run, here: Path) -> None:
    (here / "one").write_text("")
    done = run("init", "one/two")
    assert done.exit_code == 1
    assert done.output == "one: a folder has to be here; nothing was written\n"


def test_a_failure_while_it_writes_says_how_to_go_on(
    run: Run, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = Path.write_text

    def fail(path: Path, text: str, encoding: str) -> int:
        if path.name == "prod.py":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        return write(path, text, encoding)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "write_text", fail)
        done = run("init")
    assert done.exit_code == 1
    assert done.output == (
        "inventories/prod.py: No space left on device; "
        "run it again when that is fixed: it adds the files that are missing\n"
    )
    assert run("init").exit_code == 0
    assert files(here) == ALL


GUARD = '\nif __name__ == "__main__":\n    main()\n'
ECHO = f"from wsapp import run\n\ndef main():\n    pass\n{GUARD}"
LOCKED = f"websockets==17.0 --hash=sha256:{'0' * 64}\n"
LOCK = {"requirements.txt": LOCKED}
NO_COMMAND = 'command=["python", "-m", "chat"],  # EDIT: what starts your app'
OWN_LOCK = 'requirements="requirements.txt",'
PACKAGE = '[project]\nname = "a-chat"\nversion = "1"\n{}[build-system]\nrequires = ["uv_build"]\n'
SCRIPT = '[project.scripts]\n{} = "a_chat.server:main"\n'
MINE = "import os\nos.environ['WS_SOCKET'] # /healthz\n"
APPS = {
    "file": ("chat.py", {"chat.py": ECHO, **LOCK}, [OWN_LOCK]),
    "file-in-a-folder": (
        "src/chat.py",
        {"src/chat.py": ECHO, "src/requirements.txt": LOCKED},
        ['requirements="src/requirements.txt",'],
    ),
    "file-with-two-locks": (
        "chat.py",
        {
            "chat.py": ECHO,
            "pyproject.toml": '[project]\nname = "chat"\nversion = "1"\n',
            "uv.lock": "",
            **LOCK,
        },
        [f"# EDIT: {OWN_LOCK}  # or uv.lock: which of them is the app's"],
    ),
    "file-without-lock": (
        "chat.py",
        {"chat.py": ECHO},
        ['# EDIT: requirements="requirements.txt",  # it has no lock: docs/guides/apps.md'],
    ),
    "file-that-listens-elsewhere": (
        "chat.py",
        {"chat.py": f"import websockets{GUARD}", **LOCK},
        [
            "# EDIT: let it listen where $WS_SOCKET says: docs/guides/apps.md",
            "health=None,",
            OWN_LOCK,
        ],
    ),
    "folder-with-main": ("chat", {"chat/__main__.py": ECHO, "chat/requirements.txt": LOCKED}, []),
    "folder-with-a-usual-name": (
        "chat",
        {"chat/server.py": ECHO, "chat/tests/app.py": ECHO, "chat/requirements.txt": LOCKED},
        ['command=["python", "-m", "server"],'],
    ),
    "folder-that-tells-nothing": (
        "chat",
        {"chat/one.py": MINE, "chat/requirements.txt": LOCKED},
        [NO_COMMAND],
    ),
    "folder-with-one-candidate": (
        "chat",
        {"chat/main.py": MINE, "chat/rooms.py": "", "chat/requirements.txt": LOCKED},
        ['command=["python", "-m", "main"],'],
    ),
    "plain-folder-itself": (
        ".",
        {"app.py": ECHO, **LOCK},
        ['command=["python", "-m", "app"],', 'requirements="requirements.txt",'],
    ),
    "package-with-main": (
        ".",
        {"pyproject.toml": PACKAGE.format(""), "src/a_chat/__main__.py": MINE},
        ['command=["python", "-m", "a_chat"],'],
    ),
    "package-with-a-script": (
        ".",
        {"pyproject.toml": PACKAGE.format(SCRIPT.format("a-chat")), "src/a_chat/server.py": MINE},
        [
            'command=["python", "-c", "import sys; from a_chat.server import main; '
            'sys.exit(main())"],'
        ],
    ),
    "package-whose-script-is-a-program": (
        ".",
        {
            "pyproject.toml": PACKAGE.format(SCRIPT.format("serve")),
            "src/a_chat/server.py": ECHO,
            "src/a_chat/__init__.py": "",
        },
        ['command=["python", "-m", "a_chat.server"],'],
    ),
    "package-that-is-not-built": (
        ".",
        {
            "pyproject.toml": '[project]\nname = "a-chat"\nversion = "1"\n',
            "src/a_chat/app.py": ECHO,
        },
        ['command=["python", "-m", "a_chat.app"],  # EDIT: what starts your app'],
    ),
    "uvicorn": (
        ".",
        {
            "pyproject.toml": '[project]\nname = "a"\nversion = "1"\ndependencies = ["uvicorn"]\n',
            "uv.lock": "",
            "web.py": "import fastapi\n\napi = fastapi.FastAPI(debug=True)\n",
        },
        [
            'command=["python", "-m", "uvicorn", "web:api", "--uds", "$WS_SOCKET"],',
            "health=None,",
        ],
    ),
}


@pytest.mark.parametrize("kind", APPS)
def test_an_app_that_exists(kind: str, init: Init, run: Run, here: Path, git: None) -> None:
    path, theirs, options = APPS[kind]
    for name, text in theirs.items():
        (here / name).parent.mkdir(parents=True, exist_ok=True)
        (here / name).write_text(text)
    init("--app", path)
    text = (here / "inventories/prod.py").read_text()
    given, _, rest = text.partition("    app=App(\n")[2].partition("\n")
    lines = [line.strip() for line in rest.partition("# processes")[0].splitlines()]
    assert given.startswith(f'        "{path}",')
    assert [line for line in lines if line] == options
    assert {path: (here / path).read_text() for path in theirs} == theirs
    assert not (here / "files").exists()
    assert (here / "pyproject.toml").exists() is (kind != "plain-folder-itself")
    if "uv.lock" not in theirs:
        done = run("check", "inventories/prod.py")
        assert done.exit_code == (NO_COMMAND in options), done.output


def test_the_lock_of_a_file_is_not_that_of_the_project_which_deploys_it(
    init: Init, run: Run, here: Path, git: None
) -> None:
    """The uv.lock of what `init` has made has none of the app's packages."""
    (here / "server.py").write_text("import websockets\n")
    (here / "requirements.txt").write_text("websockets==17.0\n")
    init("--app", "server.py")
    (here / "uv.lock").write_text("")
    said = run("check", "inventories/prod.py").output
    assert "app.requirements: 'requirements.txt' given; 'websockets==17.0' has no hash" in said


STRANGE = {
    "scripts-of-another-shape": {
        "pyproject.toml": '[project]\nname = "a"\nscripts = ["a"]\ndependencies = 5\n'
        "[tool]\nuv = 1\n"
    },
    "a-script-of-another-shape": {
        "pyproject.toml": '[project]\nname = ["a"]\n[project.scripts]\na = 5\n'
    },
    "a-script-that-names-no-object": {
        "pyproject.toml": '[project]\nname = "a"\n[project.scripts]\na = "a:main\\nimport os"\n'
    },
}


@pytest.mark.parametrize("kind", STRANGE)
def test_an_app_whose_files_say_nothing_still_has_a_project(
    kind: str, init: Init, here: Path
) -> None:
    for name, text in STRANGE[kind].items():
        (here / name).write_text(text)
    assert "inventories/prod.py" in init("--app", ".")
    text = (here / "inventories/prod.py").read_text()
    ast.parse(text)
    assert 'command=["python", "-m", "' in text
    assert "EDIT: what starts your app" in text


def test_requirements_in_another_encoding_are_read(init: Init, here: Path) -> None:
    (here / "web.py").write_text("api = FastAPI()\n")
    (here / "requirements.txt").write_bytes(b"# caf\xe9\nuvicorn\n")
    init("--app", ".")
    assert '"uvicorn", "web:api"' in (here / "inventories/prod.py").read_text()


@pytest.mark.parametrize("name", ["app.py", "pyproject.toml", "requirements.in"])
def test_a_pipe_is_not_read(
    init: Init, here: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (here / "web.py").write_text("api = FastAPI()\n")
    os.mkfifo(here / name)
    read = Path.read_text

    def read_file(path: Path, encoding: str, errors: str | None = None) -> str:
        assert not path.is_fifo(), "it would wait for ever"
        return read(path, encoding, errors)

    monkeypatch.setattr(Path, "read_text", read_file)
    init("--app", ".")


def test_an_app_is_a_file_or_a_folder(run: Run, here: Path) -> None:
    done = run("init", "--app", "/dev/null")
    assert done.exit_code == 1
    assert done.output == "--app /dev/null: give a file or a folder\n"
    assert files(here) == set()


def test_a_method_can_be_what_a_script_runs(init: Init, here: Path) -> None:
    (here / "pyproject.toml").write_text(PACKAGE.format(SCRIPT.format("a-chat")[:-2] + '.run"\n'))
    init("--app", ".")
    code = "import sys; from a_chat.server import main; sys.exit(main.run())"
    assert f'command=["python", "-c", "{code}"],' in (here / "inventories/prod.py").read_text()


@pytest.mark.parametrize(
    "text", ["a b", 'a"b', "a'b\\", "a\nb", "\x1b[0m\x7f", "é\u2028", "\U0001f4e6", "\udce9"]
)
def test_literals_of_python(text: str) -> None:
    spelt = literal(text)
    assert ast.literal_eval(spelt) == text
    assert spelt.isprintable()
    assert spelt.startswith('"')


def test_a_path_with_all_kinds_of_letters(init: Init, here: Path) -> None:
    folder = '\U0001f4e6 "it\'s"\n<a>'
    name = f"{folder}/app.py"
    (here / folder).mkdir()
    (here / name).write_text(ECHO)
    (here / folder / "requirements.txt").write_text("")
    init("--app", name)
    for path in ("inventories/prod.py", "inventories/sandbox.py"):
        constants = [
            node.value
            for node in ast.walk(ast.parse((here / path).read_text()))
            if isinstance(node, ast.Constant)
        ]
        assert {name, f"{folder}/requirements.txt"} < {*constants}


def test_a_secret_is_read_where_one_deploys(
    init: Init, run: Run, here: Path, git: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    init("--secret", "API_KEY", "--secret", "DATABASE_URL")
    line = 'secrets={"API_KEY": FromEnv("API_KEY"), "DATABASE_URL": FromEnv("DATABASE_URL")}'
    assert line in (here / "inventories/prod.py").read_text()
    assert "API_KEY: ${{ secrets.API_KEY }}" in (here / ".github/workflows/deploy.yml").read_text()
    assert "$API_KEY is not set" in run("check", "inventories/prod.py").output
    for name in ("API_KEY", "DATABASE_URL"):
        monkeypatch.setenv(name, "x")
    assert run("check", "inventories/prod.py").exit_code == 0


def test_a_secret_that_is_given_twice_is_one(init: Init, here: Path) -> None:
    init("--secret", "API_KEY", "--secret", "API_KEY")
    workflow = (here / ".github/workflows/deploy.yml").read_text()
    assert workflow.count("API_KEY: ${{ secrets.API_KEY }}") == 1
    assert 'secrets={"API_KEY": FromEnv("API_KEY")},' in (here / "inventories/prod.py").read_text()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--domain", "chat"], "--domain chat: give a full host name"),
        (["--host", "a b"], "--host a b: give a host name or an address"),
        (["--host", "a@h1", "--host", "b@h2"], "one user logs in to all hosts, not a and b"),
        (["--secret", "K=v"], "--secret K=v: give the name of a variable, never its value"),
        (["--secret", "WS_PORT"], "the deployment sets this variable itself"),
        (["--secret", "PATH"], "--secret PATH: a shell or GitHub Actions uses this name"),
        (["--secret", "GITHUB_TOKEN"], "--secret GITHUB_TOKEN: a shell or GitHub Actions uses"),
        (
            ["--secret", "github_key"],
            "--secret github_key: a shell or GitHub Actions uses this name",
        ),
        (
            ["--secret", "RUNNER_TEMP"],
            "--secret RUNNER_TEMP: a shell or GitHub Actions uses this name",
        ),
        (["--secret", "BASH_ENV"], "--secret BASH_ENV: a shell or GitHub Actions uses this name"),
        (["--secret", "DEPLOY_SSH_KEY"], "--secret DEPLOY_SSH_KEY: the workflow deploys with it"),
        (["--secret", "KEY", "--secret", "key"], "names that differ only in case are one"),
        (["--app", "no.py"], "'no.py' does not exist"),
    ],
)
def test_words_that_are_wrong_make_nothing(
    run: Run, here: Path, words: list[str], said: str
) -> None:
    done = run("init", *words)
    assert done.exit_code in (1, 2)
    assert said in done.output
    assert files(here) == set()


def test_the_project_asks_for_this_version(init: Init, here: Path) -> None:
    init()
    declared = tomllib.loads((here / "pyproject.toml").read_text())
    assert declared["dependency-groups"]["deploy"] == ["wsdeploy[checks]>=0.1,<0.2"]


@pytest.mark.parametrize("name", ["websockets", "pytest", "pyinfra"])
def test_no_project_has_the_name_of_what_it_needs(run: Run, here: Path, name: str) -> None:
    run("init", name)
    declared = tomllib.loads((here / name / "pyproject.toml").read_text())
    assert declared["project"]["name"] == f"{name}-deploy"


def test_actions_are_pinned_by_hash(init: Init, here: Path) -> None:
    init()
    text = (here / ".github/workflows/deploy.yml").read_text()
    used = re.findall(r"uses: (\S+)(.*)", text)
    assert len(used) == 2
    for action, comment in used:
        assert re.fullmatch(r"[\w/-]+@[0-9a-f]{40}", action)
        assert re.fullmatch(r" # v\d+\.\d+\.\d+", comment)
