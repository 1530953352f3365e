"""Sets of files are applied whole or not at all, whatever fails or dies on the way."""

import dataclasses
import json
import multiprocessing
import os
import shutil
import signal
import stat
import sys
import types
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.unit.host_programs.conftest import AsRequest, MakeFile, Start, Until
from wsdeploy.plan.host.files import MARKERS, FileSet
from wsdeploy.plan.host.survey import PathState as Found
from wsdeploy.plan.host.survey import Survey
from wshost.common import atomic, commands, storage
from wshost.config import apply_files
from wshost.requests import ApplyFiles
from wshost.survey import survey as host_survey

ONE, TWO, THREE = "/etc/one/one.conf", "/etc/two.conf", "/etc/three/three.conf"


class Host:
    """A host that is a folder."""

    def __init__(self, folder: Path) -> None:
        self.root, self.state = folder / "root", folder / "root/var/lib/wsdeploy"
        self.root.mkdir()
        self.state.mkdir(parents=True)

    def apply(self, request: ApplyFiles) -> None:
        # As main does, but for the root.
        with storage.exclusive(self.state):
            apply_files.apply(request, self.state, self.root)

    def survey(self, files: FileSet) -> Survey:
        """What wsdeploy learns of this host: the real program's answer, as paths below the root."""
        found = host_survey.paths([f"{self.root}{path}" for path in files.request().paths])
        paths = {path.removeprefix(str(self.root)): Found(**e) for path, e in found.items()}
        marker = files.marker.path
        if marker in paths and os.getuid() != 0:
            # On a host it is root who runs the program.
            paths[marker] = dataclasses.replace(paths[marker], owner="root", group="root")
        return Survey(paths=paths)

    def differences(self, files: FileSet) -> list[str]:
        return list(files.differences(self.survey(files)))

    def text(self, path: str) -> str:
        return (self.root / path[1:]).read_text()

    def mode(self, path: str) -> int:
        return stat.S_IMODE((self.root / path[1:]).stat().st_mode)

    def content(self) -> dict[str, tuple[str, int]]:
        """Every file but our own state, with its mode."""
        return {
            str(path.relative_to(self.root)): (path.read_text(), stat.S_IMODE(path.stat().st_mode))
            for path in self.root.rglob("*")
            if path.is_file() and self.state not in path.parents
        }


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


@pytest.fixture
def old(file: MakeFile) -> FileSet:
    # Not in the order of their names: the marker keeps the order of the set.
    return FileSet("demo", (file(TWO, "two\n", 0o600), file(ONE, "one\n")))


MakeSet = Callable[..., FileSet]


@pytest.fixture
def new(file: MakeFile) -> MakeSet:
    """The next version: another content, another mode, a file more and a file less."""

    def make(**commands: Any) -> FileSet:
        return FileSet("demo", (file(ONE, "1\n", 0o640), file(THREE, "3\n", 0o600)), **commands)

    return make


def shell(script: str) -> tuple[str, str, str, str]:
    # Scripts are given a name, by which failures call them.
    return ("sh", "-c", script, "script")


def says(word: str, code: int = 0) -> tuple[str, str, str, str]:
    return shell(f"echo {word}; exit {code}")


def test_content_and_mode(host: Host, old: FileSet, as_request: AsRequest) -> None:
    host.apply(as_request(old))
    assert host.content() == {ONE[1:]: ("one\n", 0o644), TWO[1:]: ("two\n", 0o600)}


def test_content_is_bytes(host: Host, file: MakeFile, as_request: AsRequest) -> None:
    text = "\ufeffümlaut \u2028 \r\n\0 end without newline"
    host.apply(as_request(FileSet("demo", (file(ONE, text),))))
    assert (host.root / ONE[1:]).read_bytes() == text.encode()


def test_a_set_that_was_applied_has_no_differences(
    host: Host, old: FileSet, new: MakeSet, as_request: AsRequest
) -> None:
    # The contract between wsdeploy.plan.host.files and this program: the marker, byte for byte.
    for files in (old, new(activate=(("true",),), verify=(("true",),), absent=("/etc/gone",))):
        assert host.differences(files)
        host.apply(as_request(files))
        assert host.differences(files) == []
        assert host.text(files.marker.path) == files.marker.content


def test_marker_agrees_on_its_place() -> None:
    assert Path(MARKERS) == storage.STATE / "sets"


def test_other_commands_are_a_difference(host: Host, new: MakeSet, as_request: AsRequest) -> None:
    host.apply(as_request(new()))
    assert host.differences(new(activate=(("true",),)))


def test_stale_paths_of_an_earlier_set_are_removed(
    host: Host, old: FileSet, new: MakeSet, as_request: AsRequest
) -> None:
    host.apply(as_request(old))
    host.apply(as_request(new()))
    assert host.content() == {ONE[1:]: ("1\n", 0o640), THREE[1:]: ("3\n", 0o600)}


def test_absent_paths_are_removed_whoever_made_them(
    host: Host, file: MakeFile, as_request: AsRequest
) -> None:
    (host.root / "etc").mkdir()
    (host.root / "etc/default").write_text("")
    files = FileSet("demo", (file(ONE, "1"),), absent=("/etc/default", "/etc/never-there"))
    assert "/etc/default (to be removed)" in host.differences(files)
    host.apply(as_request(files))
    assert set(host.content()) == {ONE[1:]}


def test_a_set_without_files_leaves_nothing_of_the_set(
    host: Host, old: FileSet, file: MakeFile, as_request: AsRequest
) -> None:
    other = FileSet("other", (file("/etc/other.conf", "other"),))
    host.apply(as_request(old))
    host.apply(as_request(other))
    touch = ("touch", str(host.root / "etc/stopped"))
    host.apply(as_request(FileSet("demo", (), activate=(touch,))))
    assert set(host.content()) == {"etc/other.conf", "etc/stopped"}
    assert not (host.root / old.marker.path[1:]).exists()
    assert host.differences(other) == []


def test_a_set_that_can_not_be_removed_is_there_again(
    host: Host, old: FileSet, as_request: AsRequest
) -> None:
    host.apply(as_request(old))
    with pytest.raises(commands.StepError):
        host.apply(as_request(FileSet("demo", (), verify=(says("still in use", 1),))))
    assert host.differences(old) == []


def test_files_of_nobodys_set_stay(
    host: Host, old: FileSet, new: MakeSet, as_request: AsRequest
) -> None:
    (host.root / "etc/one").mkdir(parents=True)
    (host.root / "etc/one/local.conf").write_text("mine")
    host.apply(as_request(old))
    host.apply(as_request(new()))
    assert host.text("/etc/one/local.conf") == "mine"


def test_validation_sees_the_whole_staged_set(
    host: Host, new: MakeSet, as_request: AsRequest
) -> None:
    check = 'test "$(cat {stage}%s{stage}%s)" = "1\n3"' % (f"{ONE} ", THREE)  # noqa: UP031
    host.apply(as_request(new(validate=(shell(check),))))
    with pytest.raises(commands.StepError):
        host.apply(as_request(new(validate=(("grep", "-q", "2", f"{{stage}}{ONE}"),))))


def test_failed_validation_changes_nothing(
    host: Host, old: FileSet, new: MakeSet, as_request: AsRequest
) -> None:
    host.apply(as_request(old))
    before = host.content()
    touch = ("touch", str(host.root / "activated"))
    files = new(validate=(says("fine"), says("line 7: broken", 1)), activate=(touch,))
    with pytest.raises(commands.StepError) as failed:
        host.apply(as_request(files))
    assert "line 7: broken" in str(failed.value)
    assert "Nothing was changed" in str(failed.value)
    assert host.content() == before
    assert host.differences(old) == []


def test_a_validators_output_names_the_final_path(
    host: Host, new: MakeSet, as_request: AsRequest
) -> None:
    validate = (shell("echo error in {stage}" + ONE + "; false"),)
    with pytest.raises(commands.StepError, match=f"error in {ONE}"):
        host.apply(as_request(new(validate=validate)))


@pytest.mark.parametrize("step", ["activate", "verify"])
def test_failure_brings_the_previous_files_back(
    host: Host, old: FileSet, new: MakeSet, as_request: AsRequest, step: str
) -> None:
    host.apply(as_request(old))
    before = host.content()
    with pytest.raises(commands.StepError) as failed:
        host.apply(as_request(new(**{step: (says("it is broken", 3),)})))
    assert "it is broken" in str(failed.value)
    assert "The previous files are back" in str(failed.value)
    assert host.content() == before


@pytest.mark.parametrize("step", ["activate", "verify"])
def test_failure_of_a_first_set_removes_its_files(
    host: Host, new: MakeSet, as_request: AsRequest, step: str
) -> None:
    with pytest.raises(commands.StepError):
        host.apply(as_request(new(**{step: (says("broken", 1),)})))
    assert host.content() == {}


def test_the_previous_files_are_activated_again(
    host: Host, old: FileSet, new: MakeSet, as_request: AsRequest
) -> None:
    log = host.root / "log"
    activate = (shell(f"cat {host.root}{ONE} >>{log}"),)
    host.apply(as_request(old))
    with pytest.raises(commands.StepError):
        host.apply(as_request(new(activate=activate, verify=(says("broken", 1),))))
    assert log.read_text() == "1\none\n"


def test_commands_know_when_the_previous_files_are_back(
    host: Host, old: FileSet, new: MakeSet, as_request: AsRequest
) -> None:
    # A service that did not run before must not be started by what puts its files back.
    log = host.root / "log"
    activate = (shell(f'echo "${{RECOVERING:-no}}" >>{log}'),)
    host.apply(as_request(old))
    with pytest.raises(commands.StepError):
        host.apply(as_request(new(activate=activate, verify=(says("broken", 1),))))
    assert log.read_text() == "no\nyes\n"


def test_preparation_sees_the_files_that_go(
    host: Host, old: FileSet, new: MakeSet, as_request: AsRequest
) -> None:
    host.apply(as_request(old))
    log = host.root / "log"
    prepare = (shell(f"cat {host.root}{ONE} >>{log}"),)
    host.apply(as_request(new(prepare=prepare)))
    assert log.read_text() == "one\n"
    before = host.content()
    with pytest.raises(commands.StepError, match="still busy"):
        host.apply(as_request(FileSet("demo", (), prepare=(says("still busy", 1),))))
    assert host.content() == before


def test_a_script_is_called_by_its_name(host: Host, new: MakeSet, as_request: AsRequest) -> None:
    script = ("sh", "-c", "echo it is $1; exit 1", "reload-nginx", "broken")
    with pytest.raises(commands.StepError, match=r"^reload-nginx failed\nit is broken\n"):
        host.apply(as_request(new(verify=(script,))))


def test_later_commands_do_not_run_after_a_failure(
    host: Host, new: MakeSet, as_request: AsRequest
) -> None:
    touch = ("touch", str(host.root / "ran"))
    with pytest.raises(commands.StepError):
        host.apply(as_request(new(activate=(says("no", 1), touch), verify=(touch,))))
    assert not (host.root / "ran").exists()


def test_a_script_without_a_name_is_a_failure_like_others(
    host: Host, old: FileSet, new: MakeSet, as_request: AsRequest
) -> None:
    host.apply(as_request(old))
    with pytest.raises(commands.StepError):
        host.apply(as_request(new(verify=(("sh", "-c", "echo broken; exit 1"),))))
    assert host.differences(old) == []


@pytest.mark.parametrize("step", ["validate", "activate"])
def test_a_missing_program_is_a_failure_like_others(
    host: Host, old: FileSet, new: MakeSet, as_request: AsRequest, step: str
) -> None:
    host.apply(as_request(old))
    before = host.content()
    with pytest.raises(commands.StepError) as failed:
        host.apply(as_request(new(**{step: (("no-such-program",),)})))
    assert "no-such-program can't be run: No such file or directory" in str(failed.value)
    assert host.content() == before


def test_an_unknown_owner_changes_nothing(
    host: Host, old: FileSet, file: MakeFile, as_request: AsRequest
) -> None:
    host.apply(as_request(old))
    before = host.content()
    wrong = FileSet("demo", (file(ONE, "1"), file(TWO, "2", owner="no-such-user")))
    with pytest.raises(commands.StepError, match="no-such-user"):
        host.apply(as_request(wrong))
    assert host.content() == before


def test_output_that_is_no_text_is_a_failure_like_others(
    host: Host, old: FileSet, new: MakeSet, as_request: AsRequest
) -> None:
    host.apply(as_request(old))
    before = host.content()
    with pytest.raises(commands.StepError):
        host.apply(as_request(new(activate=(shell(r"printf '\377'; exit 1"),))))
    assert host.content() == before


def test_after_a_failure_the_previous_set_is_there_again(
    host: Host, old: FileSet, new: MakeSet, as_request: AsRequest
) -> None:
    host.apply(as_request(old))
    files = new(verify=(says("broken", 1),))
    with pytest.raises(commands.StepError):
        host.apply(as_request(files))
    assert host.differences(old) == []
    assert host.differences(files)


def test_a_previous_set_that_can_not_be_activated_again_is_tried_again(
    host: Host, old: FileSet, new: MakeSet, as_request: AsRequest
) -> None:
    host.apply(as_request(old))
    with pytest.raises(commands.StepError):
        host.apply(as_request(new(activate=(says("broken", 1),))))
    assert host.differences(old), "its files are back, but who knows what runs"
    host.apply(as_request(old))
    assert host.differences(old) == []


def test_what_was_there_before_is_kept_for_looking_things_up(
    host: Host, old: FileSet, new: MakeSet, as_request: AsRequest
) -> None:
    host.apply(as_request(old))
    host.apply(as_request(new()))
    kept = host.state / "previous/demo"
    assert {path.read_text() for path in kept.rglob("*.conf")} == {"one\n", "two\n"}
    assert stat.S_IMODE(kept.stat().st_mode) == 0o700


def test_sets_do_not_touch_each_other(
    host: Host, old: FileSet, file: MakeFile, as_request: AsRequest
) -> None:
    other = FileSet("other", (file("/etc/other.conf", "other"),))
    host.apply(as_request(old))
    host.apply(as_request(other))
    assert host.differences(old) == host.differences(other) == []


def test_nothing_is_left_of_the_stage(host: Host, new: MakeSet, as_request: AsRequest) -> None:
    host.apply(as_request(new()))
    with pytest.raises(commands.StepError):
        host.apply(as_request(new(validate=(says("no", 1),))))
    assert not list(host.state.glob("stage-*"))
    assert not list(host.root.rglob(".*"))


# The first is before the files are swapped, the others between that and the marker.
STEPS = ["validate", "activate", "verify"]

APPLY = """
import json, pathlib, sys
from wshost.common import storage
from wshost.config import apply_files
request, root, state = (json.loads(a) for a in sys.argv[1:])
with storage.exclusive(pathlib.Path(state)):
    apply_files.apply(request, pathlib.Path(state), pathlib.Path(root))
"""


def killed_in(
    step: str, host: Host, files: FileSet, as_request: AsRequest, program: Start, until: Until
) -> None:
    """Apply `files`, and kill the program while it waits for a command of `step`."""
    flag = host.root.parent / "flag"
    flag.unlink(missing_ok=True)
    request = as_request(files)
    command = shell(f"touch {flag}; exec sleep 60")
    process = program(
        APPLY,
        request | {step: [command]},
        str(host.root),
        str(host.state),
        # A group of its own, so that the command dies with it.
        start_new_session=True,
    )
    until(flag.exists)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


@pytest.mark.parametrize("step", STEPS)
def test_a_killed_run_is_seen_and_mended(
    host: Host,
    old: FileSet,
    new: MakeSet,
    as_request: AsRequest,
    program: Start,
    until: Until,
    step: str,
) -> None:
    host.apply(as_request(old))
    files = new()
    killed_in(step, host, files, as_request, program, until)
    assert host.differences(files)
    host.apply(as_request(files))
    assert host.differences(files) == []
    assert set(host.content()) == {ONE[1:], THREE[1:]}


@pytest.mark.parametrize("step", ["activate", "verify"])
def test_going_back_after_a_killed_run_is_seen_too(
    host: Host,
    old: FileSet,
    new: MakeSet,
    as_request: AsRequest,
    program: Start,
    until: Until,
    step: str,
) -> None:
    host.apply(as_request(old))
    killed_in(step, host, new(), as_request, program, until)
    # Also if somebody put the files back by hand: what runs may still be the new ones.
    for each in old.files:
        atomic.place(each.to_json(), host.root)
    assert host.differences(old)
    host.apply(as_request(old))
    assert set(host.content()) == {ONE[1:], TWO[1:]}, "the new set's own file is gone"


def test_a_run_that_dies_at_any_replacement_is_seen(
    tmp_path: Path, old: FileSet, new: MakeSet, as_request: AsRequest
) -> None:
    """os.replace is how a file gets its name: die before the first, the second, and so on."""
    context, files = multiprocessing.get_context("fork"), new()
    codes: list[int | None] = []
    while 0 not in codes:
        (tmp_path / str(len(codes))).mkdir()
        host = Host(tmp_path / str(len(codes)))
        host.apply(as_request(old))
        child = context.Process(
            target=_die_at_replacement, args=(len(codes), host, as_request(files))
        )
        child.start()
        child.join()
        codes.append(child.exitcode)
        seen = bool(host.differences(files))
        assert seen is (codes[-1] == 9), "seen exactly if it did not come to its end"
        host.apply(as_request(files))
        assert host.differences(files) == []
        found = {name: entry for name, entry in host.content().items() if "/." not in name}
        assert found == {ONE[1:]: ("1\n", 0o640), THREE[1:]: ("3\n", 0o600)}
    # The marker, two files, the marker.
    assert len(codes) > 4
    assert set(codes[:-1]) == {9}


def _die_at_replacement(number: int, host: Host, request: ApplyFiles) -> None:
    replace = os.replace
    calls: list[Any] = []

    def replace_or_die(*arguments: Any) -> None:
        if len(calls) == number:
            os._exit(9)
        calls.append(arguments)
        replace(*arguments)

    pytest.MonkeyPatch().setattr(os, "replace", replace_or_die)
    host.apply(request)
    os._exit(0)


def test_leftovers_of_a_killed_run_are_removed(
    host: Host, new: MakeSet, as_request: AsRequest, program: Start, until: Until
) -> None:
    killed_in("validate", host, new(), as_request, program, until)
    assert list(host.state.glob("stage-*"))
    host.apply(as_request(new()))
    assert not list(host.state.glob("stage-*"))


def test_failure_after_a_killed_run_brings_the_last_good_files_back(
    host: Host, old: FileSet, new: MakeSet, as_request: AsRequest, program: Start, until: Until
) -> None:
    host.apply(as_request(old))
    good = host.content()
    killed_in("activate", host, new(), as_request, program, until)
    with pytest.raises(commands.StepError):
        host.apply(as_request(new(verify=(says("broken", 1),))))
    assert host.content() == good


def test_failure_brings_a_link_back(host: Host, new: MakeSet, as_request: AsRequest) -> None:
    (host.root / "etc/one").mkdir(parents=True)
    (host.root / "etc/one/mine.conf").write_text("mine")
    (host.root / ONE[1:]).symlink_to("mine.conf")
    with pytest.raises(commands.StepError):
        host.apply(as_request(new(verify=(says("broken", 1),))))
    assert (host.root / ONE[1:]).is_symlink()


def exposed(folder: Path, secret: bytes) -> Iterator[tuple[str, str]]:
    """Files with the secret that others may read, in folders that others may enter."""
    for path, folders, files in os.walk(folder):
        folders[:] = [n for n in folders if os.stat(os.path.join(path, n)).st_mode & 0o011]
        for name in files:
            full = os.path.join(path, name)
            try:
                with open(full, "rb") as content:
                    mode = os.fstat(content.fileno()).st_mode
                    if mode & 0o044 and secret in content.read():
                        yield full, oct(mode)
            except FileNotFoundError:
                continue


def watched(action: Callable[[], object], folder: Path, secret: bytes) -> set[tuple[str, str]]:
    """Do something; return the secret's exposures, looked for at each line that Python runs."""
    found: set[tuple[str, str]] = set()

    def tracer(frame: types.FrameType, event: str, _: object) -> Any:
        if frame.f_code.co_filename in (apply_files.__file__, shutil.__file__):
            found.update(exposed(folder, secret))
            return tracer
        return None

    sys.settrace(tracer)
    try:
        action()
    except commands.StepError:
        pass
    finally:
        sys.settrace(None)
    return found


def secret_set(file: MakeFile, content: str, **commands: Any) -> FileSet:
    return FileSet("demo", (file("/etc/secret", content, 0o600, secret=True),), **commands)


def test_the_watcher_sees_a_careless_copy(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("s3cret")
    (tmp_path / "a").chmod(0o600)
    assert watched(lambda: shutil.copy2(tmp_path / "a", tmp_path / "b"), tmp_path, b"s3cret")


def test_a_secret_is_never_readable_by_others(
    host: Host, file: MakeFile, as_request: AsRequest
) -> None:
    before = os.umask(0)
    try:
        for content in ("s3cret one", "s3cret two"):
            request = as_request(secret_set(file, content))
            assert watched(partial(host.apply, request), host.root, b"s3cret") == set()
    finally:
        os.umask(before)
    assert host.mode("/etc/secret") == 0o600


def test_a_secret_that_comes_back_is_never_readable_by_others(
    host: Host, file: MakeFile, as_request: AsRequest
) -> None:
    host.apply(as_request(secret_set(file, "s3cret one")))
    failing = as_request(secret_set(file, "s3cret two", verify=(says("broken", 1),)))
    assert watched(lambda: host.apply(failing), host.root, b"s3cret") == set()


def test_a_restored_secret_has_its_mode(host: Host, file: MakeFile, as_request: AsRequest) -> None:
    host.apply(as_request(secret_set(file, "one")))
    with pytest.raises(commands.StepError):
        host.apply(as_request(secret_set(file, "two", verify=(says("broken", 1),))))
    assert host.mode("/etc/secret") == 0o600
    assert host.text("/etc/secret") == "one"


def test_main_says_whose_set_failed(
    host: Host, new: MakeSet, as_request: AsRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storage, "STATE", host.state)
    with pytest.raises(SystemExit) as ended:
        apply_files.main(as_request(new(validate=(says("line 7: broken", 1),))))
    assert str(ended.value).startswith("demo: ")
    assert "line 7: broken" in str(ended.value)


def test_one_run_at_a_time(tmp_path: Path, program: Start, until: Until) -> None:
    hold = (
        "import json, pathlib, sys\nfrom wshost.common import storage\n"
        "state, log, name = (json.loads(a) for a in sys.argv[1:])\n"
        "with storage.exclusive(pathlib.Path(state)):\n"
        "    print('inside', name, file=open(log, 'a'), flush=True)\n"
        "    sys.stdin.read()\n"
    )
    log = tmp_path / "log"
    first = program(hold, str(tmp_path / "state"), str(log), "first", stdin=-1)
    until(lambda: log.exists() and "first" in log.read_text())
    second = program(hold, str(tmp_path / "state"), str(log), "second", stdin=-1)
    # It waits for the lock, as /proc/locks shows with an arrow.
    until(lambda: f"-> FLOCK  ADVISORY  WRITE {second.pid} " in Path("/proc/locks").read_text())
    assert log.read_text() == "inside first\n"
    first.kill()
    until(lambda: "second" in log.read_text())


def test_the_request_is_json(new: MakeSet, as_request: AsRequest) -> None:
    assert json.loads(json.dumps(as_request(new())))["digest"] == new().digest


def test_who_can_not_read_the_state_can_not_lock_it_either(tmp_path: Path) -> None:
    """A lock needs nothing but a file that can be opened, and would hold up every run."""
    with storage.exclusive(tmp_path / "state"):
        assert (tmp_path / "state").stat().st_mode & 0o777 == 0o700
