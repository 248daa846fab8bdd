"""JSON Web Tokens within something else."""

import pytest

from osp_gateway.tokens import replaced, replaced_octets

HEAD, BODY, SIGNATURE = "eyJhbGciOiJIUzI1NiJ9", "eyJzdWIiOiJmYWtlIn0", "ZmFr-_Q"


@pytest.mark.parametrize("token", [f"{HEAD}.{BODY}.{SIGNATURE}", f"{HEAD}.{BODY}.", f"{HEAD}.{BODY}"])
@pytest.mark.parametrize("around", ["{}", "a={}&b", "x{}", '"{}"', "eyJ {}", "eyJaaaa/{}", "eyJaaaa.b/{}"])
def test_a_token_is_replaced_and_nothing_else(token, around):
    assert replaced(around.format(token), lambda found: f"<{len(found)}>") == around.format(f"<{len(token)}>")
    octets = replaced_octets(around.format(token).encode(), lambda found: f"<{found.decode()}>")
    assert octets == around.format(f"<{token}>").encode()


@pytest.mark.parametrize(
    "text", ["", "eyJ", HEAD, f"{HEAD}.abc", f"{HEAD}..{SIGNATURE}", "eyJ" * 100, "hey Joe.abcdefg"]
)
def test_what_is_no_token_stays(text):
    assert replaced(text, lambda _: "?") == text
    assert replaced_octets(text.encode(), lambda _: "?") == text.encode()
