"""A project as it is on this machine: what a platform gets of it, and what is in the way."""

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.unit.platforms.conftest import LOCK, MADE, MakeProject, every_platform, made, write
from wsdeploy.inventory.project import INSTEAD, Project
from wsdeploy.platforms import written
from wsdeploy.settings import Edge, SettingsError
from wsdeploy.settings.platforms import Dokku, Fly, Heroku, Koyeb, Platform, Render

REPOSITORY = Path(__file__).parents[3]


def problems(project: MakeProject, where: Platform, **app: object) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        project(where, made(dict(app)))
    return [str(each) for each in caught.value.problems]


@every_platform
def test_a_second_run_has_nothing_to_write(project: MakeProject, where: Platform) -> None:
    first = project(where)
    assert "Procfile" in first.report()[0] or "render.yaml" in first.report()[0]
    write(first)
    note = first.folder / written.NOTE
    note.write_text(written.note(first.wanted))
    second = project(where)
    assert written.changes(second.wanted, second.found()) == {}
    assert second.report()[0].endswith(": nothing to do")


@every_platform
def test_the_harness_comes_along_for_apps_that_use_it(
    project: MakeProject, where: Platform, tmp_path: Path
) -> None:
    assert ".wsdeploy/wsapp/server.py" in project(where).wanted
    (tmp_path / "chat/app.py").write_text("print('from wsapp import run')\n")
    assert ".wsdeploy/wsapp/server.py" not in project(where).wanted


def test_a_lock_is_copied_to_where_platforms_look_for_it(project: MakeProject) -> None:
    assert project(MADE[Heroku]).wanted["requirements.txt"].endswith(LOCK)


def test_a_lock_that_is_there_already_is_left_alone(project: MakeProject, tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_text(LOCK)
    found = project(MADE[Heroku], made({"requirements": "requirements.txt"}))
    assert "requirements.txt" not in found.wanted


def test_an_app_that_could_not_import_its_harness_is_refused(
    project: MakeProject, tmp_path: Path
) -> None:
    (tmp_path / "chat/requirements.txt").unlink()
    assert problems(project, MADE[Heroku]) == [
        "app.requirements: chat/app.py uses wsapp, which needs websockets; make a lock that has it"
    ]


def test_an_app_right_in_the_project_keeps_what_an_earlier_run_has_written(
    project: MakeProject, tmp_path: Path
) -> None:
    (tmp_path / "app.py").write_text("print('no websockets')\n")
    first = project(MADE[Heroku], made({"path": "app.py"}))
    assert first.wanted["requirements.txt"].endswith("# It has no dependencies.\n")
    write(first)
    assert project(MADE[Heroku], made({"path": "app.py"})).wanted == first.wanted


@pytest.mark.parametrize("kind", [Koyeb, Dokku])
def test_another_lock_is_refused_where_it_might_be_installed(
    project: MakeProject, tmp_path: Path, kind: type[Platform]
) -> None:
    (tmp_path / "uv.lock").write_text("")
    title = kind.title
    assert problems(project, MADE[kind]) == [
        f"app.requirements: there is a uv.lock in {tmp_path} too, and {title} might install from "
        "that; start pyinfra in a folder without one"
    ]


@pytest.mark.parametrize("kind", [Render, Fly])
def test_another_lock_is_in_nobodys_way_elsewhere(
    project: MakeProject, tmp_path: Path, kind: type[Platform]
) -> None:
    (tmp_path / "uv.lock").write_text("")
    assert ".slugignore" not in project(MADE[kind]).wanted


def test_heroku_is_told_to_leave_another_lock_out(project: MakeProject, tmp_path: Path) -> None:
    assert ".slugignore" not in project(MADE[Heroku]).wanted
    (tmp_path / "uv.lock").write_text("")
    first = project(MADE[Heroku])
    assert "uv.lock" in first.wanted[".slugignore"].splitlines()
    write(first)
    assert project(MADE[Heroku]).wanted == first.wanted


def test_what_a_project_itself_leaves_out_stays_its_own(
    project: MakeProject, tmp_path: Path
) -> None:
    (tmp_path / "uv.lock").write_text("")
    (tmp_path / ".slugignore").write_text("*.psd\n")
    assert problems(project, MADE[Heroku]) == [
        ".slugignore: add a line uv.lock; Heroku's buildpack ends where it finds two locks"
    ]
    (tmp_path / ".slugignore").write_text("*.psd\nuv.lock\n")
    assert ".slugignore" not in project(MADE[Heroku]).wanted


def test_an_app_outside_of_the_project_is_refused(
    project: MakeProject, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    other = tmp_path_factory.mktemp("other") / "app.py"
    other.write_text("print('elsewhere')\n")
    assert problems(project, MADE[Heroku], path=str(other)) == [
        f"app.path: '{other}' given; it is outside of {tmp_path}, which is all that Heroku gets; "
        "move it there"
    ]


def test_a_package_that_is_built_is_refused(project: MakeProject, tmp_path: Path) -> None:
    text = '[project]\nname = "chat"\nversion = "1"\n[build-system]\nrequires = []\n'
    (tmp_path / "chat/pyproject.toml").write_text(text)
    [line] = problems(project, MADE[Fly], path="chat", command=["python", "-m", "chat"])
    assert line.startswith("app.path: 'chat' given; it is a package that is built, and Fly runs")


@pytest.mark.parametrize(
    ("where", "line"),
    [
        (Heroku(app="Chat"), "app: 'Chat' given; give 2 to 30 lower-case letters, digits and "
         "hyphens, the first one a letter"),
        (Heroku(python="2.7"), "python: '2.7' given; give a version from 3.11 on, as in 3.13"),
        (Heroku(instances=0), "instances: 0 given; give a whole number from 1 to 100"),
        (Render(plan="free"), "plan: 'free' given; it can't be told how long a drain takes; give "
         "a paid one, such as starter"),
        (Fly(region="AMS\n"), "region: 'AMS\\n' given; give a name as the platform spells it"),
        (Koyeb("chat"), "repository: 'chat' given; give it as in github.com/your-company/chat"),
        (Koyeb("github.com/your-company/chat"), "repository: 'github.com/your-company/chat' given; "
         "that is a placeholder; give your own"),
        (Dokku("a b"), "host: 'a b' given; give a host name or an address"),
        (Dokku("dokku.your-company.com:22"), "host: 'dokku.your-company.com:22' given; that is a "
         "placeholder; give your own"),
    ],
)  # fmt: skip
def test_mistakes_of_what_a_platform_is_told(
    project: MakeProject, where: Platform, line: str
) -> None:
    assert problems(project, where) == [line]


def test_all_that_a_platform_can_not_keep_is_said_together(project: MakeProject) -> None:
    with pytest.raises(SettingsError) as caught:
        project(MADE[Heroku], made({"processes": 4, "path": "no.py"}, edge=Edge(paths=["/*"])))
    settings = [problem.setting for problem in caught.value.problems]
    assert settings == ["app.processes", "edge.paths", "app.path"]


def test_mistakes_are_said_with_what_a_platform_can_not_keep(project: MakeProject) -> None:
    found = problems(project, MADE[Heroku], processes=4, port="x", drain=-1)
    assert [line.partition(":")[0] for line in found] == ["app.port", "app.drain", "app.processes"]


def test_files_that_somebody_has_edited_are_named_before_anything_is_written(
    project: MakeProject, tmp_path: Path
) -> None:
    write(project(MADE[Heroku]))
    (tmp_path / "app.json").write_text("{}")
    (tmp_path / "Procfile").unlink()
    [line] = problems(project, MADE[Heroku])
    assert line.startswith("app.json: it is there already, and wsdeploy did not write it; ")


def test_all_that_is_in_the_way_is_said_with_what_is_refused(
    project: MakeProject, tmp_path: Path
) -> None:
    (tmp_path / "Procfile").write_text("web: mine\n")
    assert [line.partition(":")[0] for line in problems(project, MADE[Heroku], processes=4)] == [
        "app.processes",
        "Procfile",
    ]


@pytest.mark.parametrize(
    ("where", "command", "words"),
    [
        (Heroku, "wsdeploy.rollback", "in place of wsdeploy.rollback, heroku rollback --app"),
        (Dokku, "wsdeploy.restart", "in place of wsdeploy.restart, ssh dokku@"),
        (
            Fly,
            "wsdeploy.capacity",
            "deploy.py writes its files; wsdeploy.capacity is for hosts",
        ),
    ],
)
def test_commands_for_hosts_say_what_does_that_there(
    project: MakeProject,
    monkeypatch: pytest.MonkeyPatch,
    where: type[Platform],
    command: str,
    words: str,
) -> None:
    monkeypatch.setattr("sys.argv", ["pyinfra", "inventories/prod.py", command])
    with pytest.raises(SystemExit) as caught:
        project(MADE[where])
    assert str(caught.value).startswith(f"inventories/prod.py is for {MADE[where].title}: {words}")
    assert "APP" not in str(caught.value)


def test_every_command_has_a_way_out_on_every_platform() -> None:
    for told in INSTEAD.values():
        assert told.keys() == MADE.keys()


def test_files_that_are_gone_are_not_called_new(project: MakeProject) -> None:
    write(first := project(MADE[Heroku], made({"before_release": ["true"]})))
    (first.folder / written.NOTE).write_text(written.note(first.wanted))
    said = project(MADE[Heroku]).report()[0]
    # Its release command is gone from the Procfile, and the script of it.
    assert said.endswith("on Heroku: Procfile, .wsdeploy/ new or changed; .wsdeploy/ gone")


def test_files_that_git_leaves_out_are_named(project: MakeProject, tmp_path: Path) -> None:
    subprocess.run(["git", "init", "--quiet"], cwd=tmp_path, check=True)
    assert not any("git leaves" in line for line in project(MADE[Heroku]).report())
    (tmp_path / ".gitignore").write_text(".*\nProcfile\n")
    assert project(MADE[Heroku]).report()[1] == (
        "Procfile, .python-version, .wsdeploy/: git leaves this out, and Heroku gets what git has; "
        "change .gitignore, or git add --force"
    )


@pytest.mark.parametrize("where", MADE.values(), ids=[each.title for each in MADE])
def test_the_examples_are_inventories(
    project: MakeProject, tmp_path: Path, where: Platform
) -> None:
    text = (REPOSITORY / f"inventories/{where.title.lower()}.py").read_text()
    shutil.copytree(REPOSITORY / "files", tmp_path / "files")
    names: dict[str, Any] = {}
    with pytest.raises(SettingsError) as caught:
        exec(text, names)  # noqa: S102 (our own text)
    refused = [problem for problem in caught.value.problems if "placeholder" in problem.message]
    # The app's name is marked, too, if nobody else on the platform may have it: none is refused.
    marked = [line for line in text.splitlines() if "# EDIT" in line and "else" not in line]
    assert len(refused) == len(marked)
    text = text.replace("example.com", "a-company.com").replace("your-company", "a-company")
    exec(text, names)  # noqa: S102
    found: Project = names["project"][1]["platform"]
    assert type(found.platform) is type(where)
    assert not [note for note in found.notes() if note.startswith("app.drain")]
    assert "websockets==" in found.wanted["requirements.txt"]


def test_nothing_is_written_through_a_link(project: MakeProject, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "Procfile").symlink_to("/nowhere/victim")
    (tmp_path / ".wsdeploy").symlink_to("elsewhere")
    (tmp_path / "app.json").mkdir()
    assert problems(project, MADE[Heroku]) == [
        ".wsdeploy: it is a link, which may lead out of the project; delete it",
        "Procfile: it is a link, which may lead out of the project; delete it",
        "app.json: it is a folder, and a file is to be written there; move it away",
    ]
