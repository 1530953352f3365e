from dataclasses import replace

import pytest

from wsdeploy_sandbox.base import DEFAULT_MIRRORS, Layer, Recipe, mirrors_in, sources, stage

RECIPE = Recipe("bookworm", sources("bookworm"), architecture="x86_64")


@pytest.mark.parametrize(
    "change",
    [
        {"suite": "trixie"},
        {"sources": sources("bookworm", ("http://mirror/debian", "http://mirror/debian-security"))},
        {"certificates": (("company.crt", "text"),)},
        {"packages": (*RECIPE.packages, "less")},
        {"customize": f"{RECIPE.customize}# another\n"},
        {"architecture": "aarch64"},
    ],
    ids=lambda change: next(iter(change)),
)
def test_every_part_of_the_recipe_makes_another_base(change: dict[str, object]) -> None:
    other = replace(RECIPE, **change)  # type: ignore[arg-type]
    assert other.name != RECIPE.name
    assert RECIPE.name == replace(RECIPE).name
    assert other.name.startswith(f"{other.suite}-")


def test_a_layer_belongs_to_its_base_and_packages() -> None:
    layer = Layer(("nginx",), disabled=("nginx.service",))
    assert layer.name(RECIPE.name).startswith(f"{RECIPE.name}+")
    others = [
        layer.name("trixie-0"),
        Layer(("nginx", "curl"), disabled=("nginx.service",)).name(RECIPE.name),
        Layer(("nginx",)).name(RECIPE.name),
    ]
    assert len({layer.name(RECIPE.name), *others}) == 4


DEB822 = """# snapshot: http://example.org/debian
Types: deb
URIs: https://mirror.example.com/debian/
Suites: bookworm bookworm-updates

Types: deb
URIs: https://mirror.example.com/debian-security
"""
ONE_LINE = """deb [arch=amd64] http://a.example/debian bookworm main
deb http://b.example/debian-security bookworm-security main
"""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", DEFAULT_MIRRORS),
        ("URIs: http://archive.ubuntu.com/ubuntu/\n", DEFAULT_MIRRORS),
        (
            DEB822,
            ("https://mirror.example.com/debian", "https://mirror.example.com/debian-security"),
        ),
        (ONE_LINE, ("http://a.example/debian", "http://b.example/debian-security")),
    ],
)
def test_mirrors(text: str, expected: tuple[str, str]) -> None:
    assert mirrors_in(text) == expected


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("I: installing essential packages...\n", "installing essential packages"),
        ("I: success in 19.0239 seconds\n", None),
        ("Setting up libc6:amd64 (2.36) ...\n", None),
    ],
)
def test_stages_of_building(line: str, expected: str | None) -> None:
    assert stage(line) == expected
