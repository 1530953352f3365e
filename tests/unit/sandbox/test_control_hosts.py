from pathlib import Path

import pytest

from wsdeploy_sandbox.control_hosts import BEGIN, END, has_block, replace, with_block, write_block

ENTRIES = [("10.0.0.2", ("ws.sandbox.test", "ws")), ("fd00::2", ("ws.sandbox.test",))]
BLOCK = f"{BEGIN}\n10.0.0.2 ws.sandbox.test ws\nfd00::2 ws.sandbox.test\n{END}\n"
OLD_BLOCK = f"{BEGIN}\n10.0.0.9 old.sandbox.test\n{END}\n"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", BLOCK),
        ("127.0.0.1 localhost\n", f"127.0.0.1 localhost\n{BLOCK}"),
        ("127.0.0.1 localhost", f"127.0.0.1 localhost\n{BLOCK}"),
        (f"a\n{OLD_BLOCK}b\n", f"a\nb\n{BLOCK}"),
        (f"a\n{OLD_BLOCK}b\n{OLD_BLOCK}", f"a\nb\n{BLOCK}"),
        (f"a\n{BLOCK}", f"a\n{BLOCK}"),
        # What looks like a block that lost its end may be followed by the user's own lines.
        (f"{BEGIN}\nmine\n", f"{BEGIN}\nmine\n{BLOCK}"),
    ],
)
def test_block_is_put_in(before: str, after: str) -> None:
    assert with_block(before, ENTRIES) == after


@pytest.mark.parametrize("before", ["", "a\n", "a", "a\n\n# b\n"])
def test_block_is_taken_out_without_a_trace(before: str) -> None:
    ended = before if before.endswith("\n") or not before else f"{before}\n"
    assert with_block(with_block(before, ENTRIES), []) == ended
    assert with_block(before, []) == before


def test_file_keeps_its_mode_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    file = tmp_path / "hosts"
    file.write_text("a\n")
    file.chmod(0o640)
    write_block(ENTRIES, file)
    assert has_block(ENTRIES, file)
    assert file.read_text() == f"a\n{BLOCK}"
    assert file.stat().st_mode & 0o777 == 0o640
    write_block([], file)
    assert not has_block(ENTRIES, file)
    assert file.read_text() == "a\n"
    assert list(tmp_path.iterdir()) == [file]


def test_link_is_replaced_not_followed(tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.write_text("untouched\n")
    link = tmp_path / "link"
    link.symlink_to(target)
    replace(link, "new\n")
    assert target.read_text() == "untouched\n"
    assert link.read_text() == "new\n"
