import re

import pytest

from wsapp.compression import LEVELS
from wsapp.config import VARIABLES, Config, ConfigError, misspelt


def problems(**environ: str) -> list[str]:
    with pytest.raises(ConfigError) as error:
        Config.from_env(environ)
    return error.value.problems


@pytest.mark.parametrize(
    ("name", "value", "would_do"),
    [
        ("WS_BACKLOG", "0", "give a whole number from 1 to 65535"),
        ("WS_BACKLOG", "many", "give a whole number from 1 to 65535"),
        ("WS_BACKLOG", "9" * 5000, "give a whole number from 1 to 65535"),
        ("WS_SETTLE", "301", "give seconds from 0 to 300"),
        ("WS_DRAIN", "-1", "give seconds from 0 to 3600"),
        ("WS_DRAIN", "nan", "give seconds from 0 to 3600"),
        ("WS_DRAIN", "30s", "give seconds from 0 to 3600"),
        ("WS_CLOSE_CODE", "1000", "give 1012 or 1001"),
        ("WS_CLOSE_TIMEOUT", "0", "give seconds from 0.1 to 300"),
        ("WS_OPEN_TIMEOUT", "301", "give seconds from 0.1 to 300"),
        ("WS_PING_INTERVAL", "none", 'give seconds from 0.1 to 3600, or "off"'),
        ("WS_PING_TIMEOUT", "1e3", 'give seconds from 0.1 to 3600, or "off"'),
        ("WS_MAX_SIZE", "1MB", "give a whole number of bytes from 1 to 1073741824"),
        ("WS_MAX_CONNECTIONS", "-5", "give a whole number of connections from 0 to 10000000"),
        ("WS_COMPRESSION", "deflate", "give off, low, medium or high"),
        ("WS_ORIGINS", "*", "leave it empty to allow any origin"),
        (
            "WS_ORIGINS",
            "https://example.com:443",
            '"https://example.com:443" has its scheme\'s usual port, which browsers leave out; '
            "give https://example.com",
        ),
        *(
            (
                "WS_ORIGINS",
                origin,
                f'"{origin}" isn\'t an origin as browsers send it; give a scheme, a host in lower '
                "case and a port unless it's the usual one, like https://example.com",
            )
            for origin in ("example.com", "https://example.com/", "https://Example.com", "https://")
        ),
        ("WS_LOG_LEVEL", "INFO", "give debug, info, warning or error"),
        ("WS_LOG_FORMAT", "xml", "give text or json"),
        ("WS_METRICS", "yes", "give 0 or 1"),
        ("WS_SOCKET", "/run/" + "a" * 103, "give a path of at most 107 bytes; this one has 108"),
        ("WS_SOCKET", "/run/ws/", "give the path of a socket, not of a folder"),
    ],
)
def test_bad_value(name: str, value: str, would_do: str) -> None:
    assert problems(**{name: value}) == [f'{name} is "{value}": {would_do}']


@pytest.mark.parametrize("port", ["0", "65536", "http", "80 80"])
def test_bad_port(port: str) -> None:
    assert problems(WS_HOST="::1", WS_PORT=port) == [
        f'WS_PORT is "{port}": give a whole number from 1 to 65535'
    ]


@pytest.mark.parametrize("port", ["0", "65536", "tcp://10.96.0.1:80"])
def test_bad_port_of_a_platform(port: str) -> None:
    wanted = "give a whole number from 1 to 65535"
    assert problems(PORT=port) == [f'PORT is "{port}": {wanted}']


@pytest.mark.parametrize(
    "told", [{"WS_SOCKET": "/run/a.sock"}, {"WS_HOST": "10.0.0.1", "WS_PORT": "8001"}]
)
@pytest.mark.parametrize("port", ["5000", "not for the harness"])
def test_the_port_of_a_platform_counts_only_where_nothing_else_is_told(
    told: dict[str, str], port: str
) -> None:
    assert Config.from_env({**told, "PORT": port}) == Config.from_env(told)


def test_a_half_told_place_to_listen_is_not_completed_by_a_platform() -> None:
    assert problems(WS_HOST="a", PORT="5000") == ["WS_HOST is set and WS_PORT isn't: give both"]


@pytest.mark.parametrize(
    ("environ", "problem"),
    [
        (
            {"WS_SOCKET": "a", "WS_PORT": "1", "WS_HOST": "a"},
            "WS_SOCKET is set together with WS_HOST or WS_PORT: "
            "give either a unix socket's path or a host and a port",
        ),
        ({"WS_HOST": "a"}, "WS_HOST is set and WS_PORT isn't: give both"),
        ({"WS_PORT": "1"}, "WS_PORT is set and WS_HOST isn't: give both"),
        (
            {"WS_ORIGIN_REQUIRED": "1"},
            "WS_ORIGIN_REQUIRED is 1 and WS_ORIGINS isn't set: give the origins to allow",
        ),
    ],
)
def test_contradiction(environ: dict[str, str], problem: str) -> None:
    assert problems(**environ) == [problem]


def test_all_problems_at_once() -> None:
    found = problems(WS_DRAIN="x", WS_LOG_FORMAT="y", WS_HOST="z")
    assert [line.split()[0] for line in found] == ["WS_HOST", "WS_DRAIN", "WS_LOG_FORMAT"]


def test_empty_means_default() -> None:
    assert Config.from_env({}) == Config()
    assert Config.from_env(dict.fromkeys(VARIABLES, " ")) == Config()


def test_every_variable_is_read_and_documented() -> None:
    given = {
        "PORT": ("5000", "platform_port", 5000),
        "WS_BACKLOG": ("100", "backlog", 100),
        "WS_SETTLE": ("5", "settle", 5),
        "WS_DRAIN": ("0", "drain", 0),
        "WS_CLOSE_CODE": ("1001", "close_code", 1001),
        "WS_CLOSE_TIMEOUT": ("2.5", "close_timeout", 2.5),
        "WS_OPEN_TIMEOUT": ("3", "open_timeout", 3),
        "WS_PING_INTERVAL": ("off", "ping_interval", None),
        "WS_PING_TIMEOUT": ("0", "ping_timeout", None),
        "WS_DRAIN_FILE": ("/run/ws/drain", "drain_file", "/run/ws/drain"),
        "WS_MOVE_FILE": ("/run/ws/x/.move", "move_file", "/run/ws/x/.move"),
        "WS_MAX_AGE": ("3600", "max_age", 3600.0),
        "WS_MAX_SIZE": ("64", "max_size", 64),
        "WS_MAX_CONNECTIONS": ("10", "max_connections", 10),
        "WS_COMPRESSION": ("off", "compression", "off"),
        "WS_ORIGINS": ("https://a.example,, null", "origins", ("https://a.example", "null")),
        "WS_ORIGIN_REQUIRED": ("1", "origin_required", True),
        "WS_LOG_LEVEL": ("debug", "log_level", "debug"),
        "WS_LOG_FORMAT": ("json", "log_format", "json"),
        "WS_METRICS": ("0", "metrics", False),
        "WS_BROKER": ("redis://host", "broker", "redis://host"),
        "WS_BROKER_PREFIX": ("chat", "broker_prefix", "chat"),
    }
    config = Config.from_env({name: value for name, (value, _, _) in given.items()})
    for _, field, expected in given.values():
        assert getattr(config, field) == expected
    assert {*given, "WS_SOCKET", "WS_HOST", "WS_PORT"} == set(VARIABLES)


def test_where_to_listen() -> None:
    assert Config.from_env({"WS_SOCKET": "/run/a/ws_00.sock"}).socket == "/run/a/ws_00.sock"
    tcp = Config.from_env({"WS_HOST": "10.0.0.1", "WS_PORT": "8001"})
    assert (tcp.socket, tcp.host, tcp.port, tcp.share_port) == (None, "10.0.0.1", 8001, True)
    platform = Config.from_env({"PORT": "5000"})
    assert (platform.socket, platform.host, platform.port) == (None, "", 5000)
    assert not platform.share_port
    development = Config.from_env({})
    assert (development.host, development.port) == ("localhost", 8765)
    assert not development.share_port


@pytest.mark.parametrize(
    ("settle", "drain", "close_timeout", "limit"),
    [("0", "30", "10", 43.0), ("0", "0", "0.5", 4.5), ("0", "1", "1", 5.0), ("5", "0", "1", 10.0)],
)
def test_stop_limit(settle: str, drain: str, close_timeout: str, limit: float) -> None:
    given = {"WS_SETTLE": settle, "WS_DRAIN": drain, "WS_CLOSE_TIMEOUT": close_timeout}
    assert Config.from_env(given).stop_limit == limit


@pytest.mark.parametrize(
    ("spelling", "allowed", "refused"),
    [
        (
            "https://*.example.com",
            ["https://a.example.com", "https://a-1.example.com"],
            [
                "https://example.com",
                "https://a.b.example.com",
                "https://a.example.com.evil.com",
                "https://evil.com/.example.com",
                "https://aXexample.com",
                "http://a.example.com",
                "https://a.example.com:8443",
            ],
        ),
        (
            "http://localhost:*",
            ["http://localhost:3000"],
            ["http://localhost", "http://localhost:1@evil.com", "http://localhost:1/"],
        ),
    ],
)
def test_origin_with_a_star(spelling: str, allowed: list[str], refused: list[str]) -> None:
    (pattern,) = Config.from_env({"WS_ORIGINS": spelling}).origins
    assert isinstance(pattern, re.Pattern)
    assert [origin for origin in allowed + refused if pattern.fullmatch(origin)] == allowed


def test_only_what_browsers_fetch_from_hosts_has_one() -> None:
    assert Config.from_env({"WS_ORIGINS": "file://, app://"}).origins == ("file://", "app://")
    for spelling in ("https://", "wss://", "file:///", "://"):
        with pytest.raises(ConfigError, match="isn't an origin"):
            Config.from_env({"WS_ORIGINS": spelling})


@pytest.mark.parametrize("spelling", ["0", "off", ""])
def test_no_maximum_age(spelling: str) -> None:
    assert Config.from_env({"WS_MAX_AGE": spelling}).max_age == 0


def test_misspelt() -> None:
    assert misspelt({"WS_DRIAN": "5", "WS_SECRET": "x", "WS_DRAIN": "5", "HOME": "/"}) == [
        "WS_DRIAN isn't used here: is WS_DRAIN meant?"
    ]


def test_compression_levels_grow() -> None:
    sizes = [(level.window_bits, level.mem_level) for level in LEVELS.values() if level]
    assert sizes == sorted(sizes)
    assert LEVELS["off"] is None
