"""Secrets: read once, said nowhere, and told apart without being given away."""

import json
import sys
import time
from pathlib import Path

import pytest

from tests.unit.release.conftest import MakeSettings, Write
from wsdeploy import FromCommand, FromEnv, FromFile, SettingsError
from wsdeploy.inventory.local_files import check
from wsdeploy.settings import Settings, secret_values

VALUE = "s3cret-välue"


@pytest.fixture
def settings(
    tmp_path: Path, write: Write, settings_of: MakeSettings, monkeypatch: pytest.MonkeyPatch
) -> MakeSettings:
    monkeypatch.chdir(tmp_path)
    write(tmp_path, {"app.py": "", "key": f"{VALUE}\n"})
    return lambda **sources: settings_of("app.py", secrets=sources)


def lines(made: Settings) -> list[str]:
    with pytest.raises(SettingsError) as raised:
        check(made)
    return [str(problem) for problem in raised.value.problems]


def printing(text: str, code: int = 0, also: str = "") -> FromCommand:
    script = f"import sys; print({text!r}); sys.stderr.write({also!r}); sys.exit({code})"
    return FromCommand((sys.executable, "-X", "utf8", "-c", script))


def test_sources(settings: MakeSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEY", f" {VALUE} ")
    made = settings(A=FromEnv("KEY"), B=FromFile("key"), C=printing(VALUE))
    check(made)
    assert secret_values.values(made.app) == {"A": f" {VALUE} ", "B": VALUE, "C": VALUE}


def test_several_lines(settings: MakeSettings, tmp_path: Path, write: Write) -> None:
    write(tmp_path, {"key": "-----BEGIN\nabc\n-----END\n\n"})
    assert secret_values.values(settings(A=FromFile("key")).app) == {
        "A": "-----BEGIN\nabc\n-----END"
    }


def test_a_file_at_home(
    settings: MakeSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert secret_values.values(settings(A=FromFile("~/key")).app) == {"A": VALUE}


def test_no_secrets(settings: MakeSettings) -> None:
    assert secret_values.values(settings().app) == {}


def test_commands_run_once(settings: MakeSettings, tmp_path: Path) -> None:
    script = "open('ran', 'a').write('x'); print('value')"
    made = settings(A=FromCommand((sys.executable, "-c", script)))
    check(made)
    for _ in range(3):
        assert secret_values.values(made.app) == {"A": "value"}
    assert (tmp_path / "ran").read_text() == "x"


@pytest.mark.parametrize(
    ("source", "said"),
    [
        (FromEnv("ABSENT"), "$ABSENT is not set on this machine; export it before you deploy"),
        (FromEnv("EMPTY"), "$EMPTY is empty; put the secret there"),
        (FromFile("absent"), "no file absent in {folder}; give one that exists"),
        (FromFile("~no-one/key"), "~no-one/key can't be read: there is no such user"),
        (FromFile("."), ". can't be read: Is a directory"),
        (FromFile("empty"), "empty is empty; put the secret there"),
        (FromFile("binary"), "binary is not text in UTF-8; encode it, for example with base64"),
        (FromFile("nul"), "nul has a NUL character, which no variable can hold; drop it"),
        (FromCommand(("absent-tool",)), "absent-tool can't be run: No such file or directory"),
        (FromCommand(("true",)), "the output of true is empty; put the secret there"),
        (FromCommand(("false",)), "false fails with code 1 and says nothing about it"),
        (
            printing(VALUE, 3, "locked\nmore\n"),
            f"{sys.executable} fails with code 3: locked",
        ),
    ],
)
def test_what_can_not_be_read(
    settings: MakeSettings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    source: FromCommand | FromEnv | FromFile,
    said: str,
) -> None:
    monkeypatch.setenv("EMPTY", "")
    (tmp_path / "empty").write_text(" \n")
    (tmp_path / "binary").write_bytes(b"\xff" + VALUE.encode())
    (tmp_path / "nul").write_text(f"{VALUE}\0")
    made = settings(GOOD=FromFile("key"), BAD=source)
    wanted = f"app.secrets.BAD: {said.format(folder=tmp_path)}"
    assert lines(made) == [wanted]
    with pytest.raises(secret_values.SecretError) as raised:
        secret_values.values(made.app)
    assert str(raised.value) == wanted


def test_a_command_that_takes_too_long(
    settings: MakeSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(secret_values, "PATIENCE", 0.2)
    script = f"import time; print({VALUE!r}, flush=True); time.sleep(60)"
    started = time.monotonic()
    (line,) = lines(settings(A=FromCommand((sys.executable, "-c", script))))
    assert line == f"app.secrets.A: {sys.executable} took longer than 0.2 seconds"
    assert time.monotonic() - started < 30


@pytest.mark.parametrize(
    ("source", "setting"),
    [
        (FromEnv(""), "app.secrets.A.name"),
        (FromEnv("A B"), "app.secrets.A.name"),
        (FromEnv(), "app.secrets.A.name"),
        (FromFile(""), "app.secrets.A.path"),
        (FromCommand([]), "app.secrets.A.command"),
        (FromCommand("pass show key"), "app.secrets.A.command"),
    ],
)
def test_sources_that_are_none(
    settings: MakeSettings, source: FromCommand | FromEnv | FromFile, setting: str
) -> None:
    (line,) = lines(settings(A=source))
    assert line.startswith(f"{setting}: ")


def test_all_are_reported_together(settings: MakeSettings) -> None:
    found = lines(settings(A=FromEnv("ABSENT"), B=FromFile("absent"), C=FromEnv("")))
    assert sorted(line.split(":")[0] for line in found) == [
        "app.secrets.A",
        "app.secrets.B",
        "app.secrets.C.name",
    ]


@pytest.mark.parametrize("word", ["$KEY", "--token=${KEY}"])
def test_no_secret_in_a_command(
    tmp_path: Path,
    write: Write,
    settings_of: MakeSettings,
    monkeypatch: pytest.MonkeyPatch,
    word: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path, {"app.py": "", "key": VALUE})
    made = settings_of("app.py", secrets={"KEY": FromFile("key")}, command=["python", "-c", word])
    assert lines(made) == [
        f"app.command: {word!r} given; everyone on a host sees commands; let it read KEY by itself"
    ]


def test_values_are_shown_nowhere(settings: MakeSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEY", VALUE)
    made = settings(A=FromEnv("KEY"), B=FromFile("key"))
    check(made)
    secret_values.values(made.app)
    shown = f"{made!r} {made} {vars(made)!r} {json.dumps(made.to_json(), ensure_ascii=False)}"
    assert VALUE not in shown
    assert "KEY" in shown


def test_errors_hold_no_values(settings: MakeSettings) -> None:
    made = settings(A=printing(VALUE, 1, "locked"))
    with pytest.raises(secret_values.SecretError) as raised:
        secret_values.values(made.app)
    error: BaseException | None = raised.value
    while error:
        assert VALUE not in f"{error!r} {vars(error)!r}"
        error = error.__cause__ or error.__context__


def test_fingerprints() -> None:
    one = secret_values.fingerprint("1234", "ws.a-company.com API_KEY")
    assert one == secret_values.fingerprint("1234", "ws.a-company.com API_KEY")
    assert one != secret_values.fingerprint("1235", "ws.a-company.com API_KEY")
    assert one != secret_values.fingerprint("1234", "ws.a-company.com OTHER")
    assert len(one) == 64


def test_a_fingerprint_does_not_change_between_versions() -> None:
    """A change would make a new generation of every service with secrets."""
    assert secret_values.fingerprint("value", "salt").startswith("0a458b9da56df4f6")
