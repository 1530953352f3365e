"""What `make clean` deletes: nothing of another project's on the same machine."""

import re
import subprocess
from pathlib import Path

REPOSITORY = Path(__file__).parents[3]


def test_only_hosts_of_our_inventories_are_deleted() -> None:
    done = subprocess.run(
        ["make", "--dry-run", "clean"], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    (down,) = re.findall(r"sandbox down(.*)", done.stdout)
    texts = [path.read_text() for path in (REPOSITORY / "inventories").glob("sandbox*.py")]
    ups = " ".join(re.findall(r"(?:sandbox|host)\.up\((.*)\)", "\n".join(texts)))
    assert sorted(down.split()) == sorted(re.findall(r"\"([a-z0-9-]+)[:\"]", ups)) != []
