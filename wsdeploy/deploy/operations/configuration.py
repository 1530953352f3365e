"""Sets of configuration files, applied whole or not at all."""

from __future__ import annotations

from collections.abc import Generator

from pyinfra import logger
from pyinfra.api.command import StringCommand
from pyinfra.api.operation import operation
from pyinfra.context import host, state
from pyinfra.facts.files import FileContents
from pyinfra.operations.util.files import generate_color_diff

from wsdeploy.deploy import facts
from wsdeploy.deploy.operations.send import change, failure, log_reasons, without_traceback
from wsdeploy.plan.component import Component
from wsdeploy.plan.host.files import FileSet
from wsdeploy.plan.host.survey import Survey
from wsdeploy.settings import Settings


@operation()
@without_traceback
def configuration(settings: Settings, component: Component) -> Generator[StringCommand, None, None]:
    """Put a component's files in place: staged, checked by the real program, swapped in, activated.

    They are applied again, too, if their effects are not there on the host. If a step fails the
    previous files come back, and the run fails with what the step printed.
    """
    try:
        target = facts.target_of(settings, component)
    except facts.UnknownError as unknown:
        yield failure(str(unknown))
        return
    files, survey = component.files(target), target.survey
    for note in files.notes:
        host.log_styled(note, fg="yellow", log_func=logger.warning)
    if not files.files:
        host.noop(f"{files.name} is left alone")
        return
    differences = [*files.differences(survey), *component.drift(target)]
    if not differences:
        host.noop(f"{files.name} is as planned")
        return
    log_reasons(differences)
    if state.config.DIFF:
        show(files, survey)
    yield change("config.apply_files", files.to_json())


@operation()
def removal(settings: Settings, component: Component) -> Generator[StringCommand, None, None]:
    """Remove a component that an earlier deployment has put in place, and stop its unit.

    Files that no deployment has put there are left alone.
    """
    files = component.removal(settings)
    if files.marker.path not in facts.survey(settings).paths:
        host.noop(f"{files.name} is not there")
        return
    log_reasons([f"{files.name} is left over"])
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
