"""Apps as users bring them: a file, a folder or a project, and what is missing in each."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.unit.release.conftest import Complaints, MakeSettings, Write
from wsdeploy.release import source

HASH = "--hash=sha256:" + "0" * 64
LOCKED = f"websockets==17.0 {HASH}\n"
PROJECT = '[project]\nname = "my-chat"\nversion = "1"\n'
BUILT = '[build-system]\nrequires = ["uv_build"]\nbuild-backend = "uv_build"\n'
DEPENDS = 'dependencies = ["websockets>=15"]\n'


Read = Callable[..., source.Source]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def read(settings_of: MakeSettings) -> Read:
    return lambda path, **app: source.of(settings_of(path, **app).app)


def test_a_file(folder: Path, write: Write, read: Read) -> None:
    write(folder, {"app.py": "1", "other.py": "2", "requirements.txt": LOCKED})
    found = read("app.py")
    assert found.tree.files == {"app.py": b"1"}
    assert (found.main, found.requirements, found.package) == ("app/app.py", LOCKED, None)


def test_a_folder(folder: Path, write: Write, read: Read) -> None:
    write(folder / "chat", {"__main__.py": "1", "sub/b.py": "2", "requirements.txt": LOCKED})
    found = read("chat")
    assert set(found.tree.files) == {"__main__.py", "sub/b.py", "requirements.txt"}
    assert (found.main, found.requirements, found.package) == ("app", LOCKED, None)


def test_a_project(folder: Path, write: Write, read: Read) -> None:
    write(folder / "chat", {"pyproject.toml": PROJECT + BUILT, "__main__.py": ""})
    found = read("chat")
    assert (found.main, found.requirements, found.package) == ("app", None, "my-chat")


@pytest.mark.parametrize(
    "text",
    ["", "[tool.ruff]\nline-length = 100\n", PROJECT, PROJECT + BUILT + "[tool.uv]\npackage=false"],
)
def test_projects_without_a_package(folder: Path, write: Write, read: Read, text: str) -> None:
    write(folder / "chat", {"pyproject.toml": text, "__main__.py": "", "requirements.txt": LOCKED})
    found = read("chat")
    assert (found.main, found.requirements, found.package) == ("app", LOCKED, None)


def test_a_package_without_a_build_system(folder: Path, write: Write, read: Read) -> None:
    text = PROJECT + "[tool.uv]\npackage = true\n"
    write(folder / "chat", {"pyproject.toml": text, "__main__.py": ""})
    assert read("chat").package == "my-chat"


def test_a_file_in_a_project_is_no_package(folder: Path, write: Write, read: Read) -> None:
    write(folder, {"pyproject.toml": PROJECT + DEPENDS + BUILT, "app.py": ""})
    found = read("app.py")
    assert (found.main, found.package) == ("app/app.py", None)


def test_it_is_read_once(folder: Path, write: Write, settings_of: MakeSettings) -> None:
    write(folder, {"app.py": "1"})
    app = settings_of("app.py").app
    before = source.of(app)
    write(folder, {"app.py": "2"})
    assert source.of(app) is before
    assert source.of(settings_of("app.py").app) != before


def test_nothing_there(folder: Path, complaints: Complaints) -> None:
    assert complaints("chat") == [
        f"app.path: 'chat' given; no such file in {folder}; give one that exists"
    ]


def test_another_kind_of_file(folder: Path, write: Write, complaints: Complaints) -> None:
    write(folder, {"app.js": ""})
    assert complaints("app.js") == [
        "app.path: 'app.js' given; give a Python file, a folder or a Python project"
    ]


@pytest.mark.parametrize(("text", "module"), [("", "chat"), (PROJECT, "my_chat")])
def test_nothing_to_run(
    folder: Path, write: Write, complaints: Complaints, read: Read, text: str, module: str
) -> None:
    write(folder / "server", {"pyproject.toml": text, "app.py": ""})
    assert complaints("server") == [
        "app.path: 'server' given; it has no __main__.py to run; add one, or say what to run, "
        f'such as command=["python", "-m", "{module}"]'
    ]
    assert read("server", command=["python", "-m", "app"]).main == "app"


def test_a_lock_that_is_not_there(folder: Path, write: Write, complaints: Complaints) -> None:
    write(folder / "chat", {"__main__.py": ""})
    assert complaints("chat", requirements="lock.txt") == [
        f"app.requirements: 'lock.txt' given; no such file in {folder}; give one that exists"
    ]


@pytest.mark.parametrize("depends", [DEPENDS, 'dynamic = ["dependencies"]\n'])
def test_dependencies_without_a_lock(
    folder: Path, write: Write, complaints: Complaints, read: Read, depends: str
) -> None:
    write(folder / "chat", {"pyproject.toml": PROJECT + depends, "__main__.py": ""})
    assert complaints("chat") == [
        "app.requirements: chat has dependencies and no lock; make one with uv lock --project chat"
    ]
    write(folder / "chat", {"requirements.txt": LOCKED})
    assert read("chat").requirements == LOCKED


def test_all_at_once(folder: Path, write: Write, complaints: Complaints) -> None:
    write(folder / "chat", {"a.py": "", "requirements.txt": "uvloop\n"})
    found = complaints("chat")
    assert [line.split(":")[0] for line in found] == ["app.requirements", "app.path"]


def test_a_broken_pyproject(folder: Path, write: Write, complaints: Complaints) -> None:
    write(folder / "chat", {"__main__.py": "", "pyproject.toml": "[project"})
    (line,) = complaints("chat")
    assert line.startswith("app.path: 'chat' given; chat/pyproject.toml can't be read: ")


def test_a_lock_that_is_no_text(folder: Path, write: Write, complaints: Complaints) -> None:
    write(folder, {"app.py": ""})
    (folder / "requirements.txt").write_bytes(b"\xff\xfe")
    assert complaints("app.py") == [
        "app.requirements: 'requirements.txt' given; it can't be read; give a text file"
    ]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("-r base.txt", "'-r base.txt' is another file; lock both as one with"),
        ("-e .", "'-e .' is another file; lock both as one with"),
        ("uvloop==0.22 ; sys_platform == 'linux'", "'uvloop==0.22' has no hash; lock it with"),
        ("a @ file:///a.whl#sha256=0", "'a @ file:///a.whl#sha256=0' has no hash; lock it with"),
    ],
)
def test_what_is_no_lock(
    folder: Path, write: Write, complaints: Complaints, line: str, said: str
) -> None:
    write(folder, {"app.py": "", "requirements.txt": f"# a comment\n{LOCKED}{line} # why\n"})
    (found,) = complaints("app.py")
    assert f"{said} uv pip compile --universal --generate-hashes" in found


def test_options_are_no_requirements(folder: Path, write: Write, read: Read) -> None:
    text = f"--index-url https://a-company.com/simple\n--only-binary :all:\n{LOCKED}"
    write(folder, {"app.py": "", "requirements.txt": text})
    assert read("app.py").requirements == text


@pytest.mark.parametrize("described", [PROJECT, PROJECT + BUILT])
def test_what_deploys_an_app_from_its_own_folder_is_no_part_of_it(
    folder: Path, write: Write, read: Read, described: str
) -> None:
    deployment = {
        "deploy.py": "",
        "inventories/prod.py": "",
        "tests/hosts/conftest.py": "",
        ".github/workflows/deploy.yml": "",
        "pyinfra-debug.log": "",
        "certificates/.gitignore": "*\n",
        "certificates/ws.a-company.com.pem": "",
        "templates/README.md": "",
        "templates/nginx/nginx.conf.j2": "",
        "templates/nginx/_own.j2": "",
    }
    write(folder, {"pyproject.toml": described, "src/chat/deploy.py": "", **deployment})
    command = ["python", "-m", "chat"]
    assert set(read(".", command=command).tree.files) == {"pyproject.toml", "src/chat/deploy.py"}
    # Of an app in a folder of its own, they are what it says they are.
    write(folder / "chat", {"pyproject.toml": described, "deploy.py": ""})
    command = ["python", "-m", "deploy"]
    assert "deploy.py" in read("chat", command=command).tree.files


@pytest.mark.parametrize(
    "own",
    ["templates/index.html", "templates/mail/_part.j2", "certificates/clients.pem"],
)
def test_folders_of_the_app_itself_are_part_of_it(
    folder: Path, write: Write, read: Read, own: str
) -> None:
    ours = "templates/nginx/nginx.conf.j2"
    write(folder, {"__main__.py": "", own: "", ours: ""})
    assert own in read(".").tree.files
    assert (ours in read(".").tree.files) is own.startswith("templates/")


def test_two_locks_of_which_none_is_named(
    folder: Path, write: Write, complaints: Complaints, read: Read
) -> None:
    both = {"pyproject.toml": PROJECT, "uv.lock": "", "requirements.txt": LOCKED}
    write(folder, {"app.py": "", **both})
    assert complaints("app.py", command=["python", "-m", "gunicorn"]) == [
        "app.requirements: . has uv.lock and requirements.txt; name the one that is the app's"
    ]
    assert read("app.py", requirements="requirements.txt").requirements == LOCKED


NEEDED = (
    "needs websockets, and requirements.txt has no package; "
    "lock what the app needs, or name its own lock"
)


@pytest.mark.parametrize("line", ["import websockets", "from wsapp import run"])
def test_a_lock_without_what_the_app_imports(
    folder: Path, write: Write, complaints: Complaints, line: str
) -> None:
    write(folder, {"app.py": f"{line}\n", "requirements.txt": "# nothing\n"})
    assert complaints("app.py") == [f"app.requirements: app.py {NEEDED}"]


@pytest.mark.parametrize(
    ("code", "lock"),
    [
        ("import websockets\n", LOCKED),
        ("import websocketsd\n", ""),
        ("try:\n    import websockets\nexcept ImportError:\n    pass\n", ""),
    ],
)
def test_an_import_that_may_work(
    folder: Path, write: Write, read: Read, code: str, lock: str
) -> None:
    write(folder, {"app.py": code, "requirements.txt": lock})
    assert read("app.py").requirements == lock


def test_a_library_that_the_app_brings_along(folder: Path, write: Write, read: Read) -> None:
    files = {"__main__.py": "import websockets\n", "websockets/__init__.py": ""}
    write(folder / "chat", {**files, "requirements.txt": ""})
    assert read("chat").requirements == ""


def test_a_file_that_python_can_not_read(
    folder: Path, write: Write, complaints: Complaints
) -> None:
    write(folder, {"app.py": "import sys\ndef broken(:\n"})
    assert complaints("app.py") == [
        "app.path: app.py, line 2: invalid syntax; Python can't read it"
    ]
    write(folder / "chat", {"server/__main__.py": "(", "other.py": "("})
    (line,) = complaints("chat", command=["python", "-m", "server"])
    assert line.startswith("app.path: chat/server/__main__.py, line 1: ")


@pytest.mark.parametrize(
    "code", ["type Rooms = dict[str, int]\n", "def first[T](of: list[T]) -> T: ...\n"]
)
def test_what_only_newer_hosts_can_read(folder: Path, write: Write, read: Read, code: str) -> None:
    write(folder, {"app.py": code})
    assert read("app.py").main == "app/app.py"


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (["python", "-m", "chat"], "'chat' given; neither the app nor its lock has a module chat"),
        (["python", "main.py"], "'main.py' given; processes start in another folder; say $WS_APP/"),
        (["python", "$WS_APP/nope.py"], "'$WS_APP/nope.py' given; the app has no such file"),
    ],
)
def test_a_command_for_what_the_app_has_not(
    folder: Path, write: Write, complaints: Complaints, command: list[str], said: str
) -> None:
    write(folder / "server", {"main.py": "", "requirements.txt": LOCKED})
    (line,) = complaints("server", command=command)
    assert line.startswith(f"app.command: {said}")


@pytest.mark.parametrize(
    ("command", "lock"),
    [
        (["python", "-m", "main"], LOCKED),
        (["python", "-m", "http.server"], ""),
        (["python", "-m", "websockets"], LOCKED),
        (["python", "-m", "gunicorn", "main"], f"{LOCKED}gunicorn==23.0 {HASH}\n"),
        (["python", "-c", "pass"], ""),
        (["python", "$WS_APP/main.py"], ""),
        (["/usr/bin/env", "python3", "nope.py"], ""),
    ],
)
def test_a_command_that_may_work(
    folder: Path, write: Write, read: Read, command: list[str], lock: str
) -> None:
    write(folder / "server", {"main.py": "", "requirements.txt": lock})
    assert read("server", command=command).main == "app"


def test_a_command_for_what_is_behind_a_link(folder: Path, write: Write, read: Read) -> None:
    write(folder / "server", {"code/main.py": "", "requirements.txt": LOCKED})
    (folder / "server/live").symlink_to("code")
    for command in (["python", "$WS_APP/live/main.py"], ["python", "-m", "live.main"]):
        assert read("server", command=command).main == "app"


def test_a_lock_that_can_not_be_read_is_all_that_is_said(
    folder: Path, write: Write, complaints: Complaints
) -> None:
    write(folder / "server", {"main.py": "", "requirements.txt": "gunicorn\n"})
    (line,) = complaints("server", command=["python", "-m", "gunicorn", "main"])
    assert line.startswith("app.requirements: ")
