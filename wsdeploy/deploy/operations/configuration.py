"""Sets of configuration files, applied whole or not at all."""

from __future__ import annotations

from collections.abc import Callable, Generator

from pyinfra import logger
from pyinfra.api.command import StringCommand
from pyinfra.api.operation import operation
from pyinfra.context import host, state
from pyinfra.facts.files import FileContents
from pyinfra.operations.util.files import generate_color_diff

from wsdeploy.deploy import facts
from wsdeploy.deploy.operations.send import change, explain, failure
from wsdeploy.plan.host.files import FileSet
from wsdeploy.plan.host.survey import Survey
from wsdeploy.settings import Settings

Plan = Callable[[Settings, Survey], FileSet]
Undone = Callable[[Settings, Survey], list[str]]


@operation()
def configuration(
    settings: Settings, plan: Plan, undone: Undone | None = None
) -> Generator[StringCommand, None, None]:
    """Put a set of files in place: staged, checked by the real program, swapped in, activated.

    plan: makes the set from settings and survey, when the host's turn comes.
    undone: names effects that the set should have on the host but has not; it is applied again
        for those even if every file is as it should be.
    If a step fails the previous files come back, and the run fails with what the step printed.
    """
    survey = facts.survey(settings)
    try:
        files = plan(settings, survey)
    except facts.UnknownError as unknown:
        yield failure(str(unknown))
        return
    for note in files.notes:
        host.log_styled(note, fg="yellow", log_func=logger.warning)
    if not files.files:
        host.noop(f"{files.name} is left alone")
        return
    differences = [*files.differences(survey), *(undone(settings, survey) if undone else ())]
    if not differences:
        host.noop(f"{files.name} is as planned")
        return
    explain(differences)
    if state.config.DIFF:
        show(files, survey)
    yield change("config.apply_files", files.to_json())


@operation()
def removal(
    settings: Settings, set_name: str, unit: str, absent: tuple[str, ...] = ()
) -> Generator[StringCommand, None, None]:
    """Remove a set of files that an earlier deployment has put in place, and stop its unit.

    set_name: the set's name. unit: the systemd unit that it was for. absent: what else has to go.
    Files that no deployment has put there are left alone.
    """
    # A unit that is gone already is as good as disabled.
    disable = "systemctl disable --quiet --now $1 || ! systemctl cat $1 >/dev/null 2>&1"
    files = FileSet(set_name, (), absent=absent, prepare=(("sh", "-c", disable, "disable", unit),))
    if files.marker.path not in facts.survey(settings).paths:
        host.noop(f"{set_name} is not there")
        return
    explain([f"{set_name} is left over"])
    yield change("config.apply_files", files.to_json())


def show(files: FileSet, survey: Survey) -> None:
    """Print how the files on the host differ from the planned ones, but for secret contents."""
    for file in files.files:
        found = survey.paths.get(file.path)
        if file.same_as(found):
            continue
        host.log(f"Will {'modify' if found else 'create'} {file.path} (mode {file.mode:04o})")
        if file.secret:
            logger.info("  (its content is not shown)")
            continue
        current = host.get_fact(FileContents, path=file.path) if found else None
        old = [line + "\n" for line in current or ()]
        for line in generate_color_diff(old, file.content.splitlines(keepends=True)):
            logger.info("  %s", line)
