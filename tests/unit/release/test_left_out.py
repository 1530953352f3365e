"""What never travels, and what makes no new release."""

from pathlib import Path

import pytest

from wsdeploy import App
from wsdeploy.release import source
from wsdeploy.release.source import SourceError

SECRETS = (
    ".envrc", "prod.env", "env.local", ".netrc", ".pypirc", ".pgpass", "id_rsa", "id_ed25519",
    ".aws/credentials", ".ssh/config", ".streamlit/secrets.toml", ".env", ".env.local",
    "tls/privkey.pem", "privkey1.pem", "server.key", "client.p12",
)  # fmt: skip
NOT_NEEDED = ("README.md", "tests/test_app.py", "inventories/prod.py", "LICENSE")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    home = tmp_path / "chat"
    for name in ("__main__.py", "chat/tests/helper.py", *SECRETS, *NOT_NEEDED):
        path = home / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"# {name}")
    return home


def files(app: App) -> set[str]:
    return set(source.read(app).tree.files)


def test_secrets_and_what_no_process_needs(folder: Path) -> None:
    assert files(App("chat")) == {"__main__.py", "chat/tests/helper.py"}


def test_what_is_excluded_is_for_the_user_to_say(folder: Path) -> None:
    (folder / "data").mkdir()
    (folder / "data/one.csv").write_text("1")
    found = files(App("chat", exclude=("data/*.csv", "chat")))
    assert found == {"__main__.py", *NOT_NEEDED}


def test_the_password_of_an_index_stays_here(folder: Path) -> None:
    text = "--index-url https://anna:s3cret@pypi.a-company.com/simple\n"
    (folder / "requirements.txt").write_text(text)
    app = App("chat", requirements=None)
    tree = source.read(app).tree
    assert tree.files["requirements.txt"] == b"--index-url https://pypi.a-company.com/simple\n"


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/", "give the app's file, or its folder"),
        ("a\0b", "give the app's file, or its folder"),
        ("/dev/zero", "give a Python file, a folder or a Python project"),
    ],
)
def test_what_is_no_app(path: str, words: str) -> None:
    with pytest.raises(SourceError) as refused:
        source.read(App(path))
    assert words in str(refused.value.problems[0])


@pytest.mark.parametrize("name", ["poetry.lock", "Pipfile.lock", "pylock.toml"])
def test_a_lock_that_is_not_read_is_named(folder: Path, name: str) -> None:
    (folder / name).write_text("")
    with pytest.raises(SourceError) as refused:
        source.read(App("chat"))
    assert f"chat/{name} is a lock that is not read here" in str(refused.value.problems[0])


def test_a_lock_with_a_byte_order_mark(folder: Path) -> None:
    (folder / "requirements.txt").write_text("\ufeffdemo==1.0 --hash=sha256:0\n")
    assert source.read(App("chat")).requirements == "demo==1.0 --hash=sha256:0\n"


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("model.bin", "version https://git-lfs.github.com/spec/v1\noid x\n", "git lfs pull"),
        ("wsapp/__init__.py", "", "a module called wsapp"),
        ("wsapp.py", "", "a module called wsapp"),
    ],
)
def test_what_would_not_run(folder: Path, name: str, text: str, words: str) -> None:
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_text(text)
    with pytest.raises(SourceError) as refused:
        source.read(App("chat"))
    assert words in str(refused.value.problems[0])
