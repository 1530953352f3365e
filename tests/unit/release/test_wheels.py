"""Dependencies that a host can't run are named in one line."""

from pathlib import Path

import pytest

from tests.unit.release.conftest import MakeRelease, Write
from wsdeploy.release import build, wheels

PLATFORM = "x86_64-manylinux_2_40"
DOCOPT = (
    "docopt==0.6.2 --hash=sha256:49b3a825280bd66b3aa83585ef59c4a8c82f2c8a522dbe754a8bc8d08c85c491\n"
)


@pytest.mark.parametrize(
    "said",
    [
        "Because docopt==0.6.2 has no usable wheels and you require docopt==0.6.2, we can",
        "Because only docopt==0.6.2 is available and\n    docopt==0.6.2 has no usable\n wheels",
        "Because docopt==0.6.2 has no wheels with a matching platform tag (e.g., `x`) and you",
        "Because docopt==0.6.2 has no wheels with a matching Python ABI tag (e.g., `cp313`) and",
    ],
)
def test_no_wheel(said: str) -> None:
    assert wheels.explain(f"error: No solution found\n  cause: {said}", "3.13", PLATFORM) == (
        "no wheel of docopt 0.6.2 for Python 3.13 on x86_64 Linux (glibc 2.40); "
        "pin a version that has one, or host your own wheel"
    )


@pytest.mark.parametrize("said", ["", "error: Hash mismatch for `docopt==0.6.2`", "error: no"])
def test_other_complaints(said: str) -> None:
    assert wheels.explain(said, "3.13", PLATFORM) is None


def test_a_real_package_that_has_only_sources(
    tmp_path: Path, release_of: MakeRelease, write: Write
) -> None:
    write(tmp_path, {"app.py": "", "requirements.txt": DOCOPT})
    with pytest.raises(build.BuildError) as failed:
        build.archive(release_of(tmp_path / "app.py", version="13", python="3.13"))
    assert str(failed.value) == (
        "no wheel of docopt 0.6.2 for Python 3.13 on x86_64 Linux (glibc 2.40); "
        "pin a version that has one, or host your own wheel"
    )
