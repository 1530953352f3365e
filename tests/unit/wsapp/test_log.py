import pytest
from websockets.datastructures import Headers
from websockets.http11 import Request

from wsapp.log import clean, request_fields


def request(path: str = "/", **headers: str) -> Request:
    return Request(path, Headers({name.replace("_", "-"): v for name, v in headers.items()}))


def test_client_is_the_last_address_that_the_proxy_gave() -> None:
    fields = request_fields("10.0.0.1", request(X_Forwarded_For="6.6.6.6, 192.0.2.1"))
    assert fields["client"] == "192.0.2.1"
    assert request_fields("10.0.0.1", request())["client"] == "10.0.0.1"
    assert request_fields("-", None) == {"client": "-"}


def test_several_headers() -> None:
    headers = Headers([("X-Forwarded-For", "6.6.6.6"), ("X-Forwarded-For", "192.0.2.1")])
    assert request_fields("-", Request("/", headers))["client"] == "192.0.2.1"


def test_no_query_string() -> None:
    assert request_fields("-", request("/chat?token=secret")) == {"client": "-", "path": "/chat"}


@pytest.mark.parametrize(
    ("sent", "logged"),
    [("abc-1", "abc-1"), ("a code=1000", "a?code=1000"), ('"\t\xe9', "???"), ("", "-")],
)
def test_a_value_can_not_pose_as_another_field(sent: str, logged: str) -> None:
    assert clean(sent) == logged
    assert len(clean("x" * 5000)) == 200
