"""What is shown of services' addresses: a token may stand in the query of each of them."""

from __future__ import annotations

import logging

import pytest
import urllib3

from osp_gateway import ProxyServerConfig
from osp_gateway.asking import Question, ServiceUrl, nobody_to_ask, without_details
from osp_gateway.mitm.describe import described

TOKEN = "fake-token-in-a-query"
STORE = {"host": "store.example.test", "access_key": "a", "secret_key": "fake-secret"}
KEY = {"access_key": "a", "secret_key": "fake-secret"}
SERVICES = {
    "keys_url": {"keys_url": f"https://keys.example.test/find?code={TOKEN}"},
    "opa": {"opa": {"url": f"https://opa.example.test/v1?code={TOKEN}"}},
    "jwt": {
        "jwt": {"issuer": "https://a", "audience": "osp", "jwks_url": f"https://jwks.example.test/set?code={TOKEN}"}
    },
}
PLACES = {"keys_url": "keys.example.test/find?", "opa": "opa.example.test/v1?", "jwt": "jwks.example.test/set?"}


def anybody(token, bucket):
    return True


def test_a_url_is_used_whole_and_shown_without_its_query():
    url = ServiceUrl(f"https://h/p?code={TOKEN}")
    assert (str(url), url.shown, repr(url)) == (f"https://h/p?code={TOKEN}", "https://h/p?...", "'https://h/p?...'")
    assert ServiceUrl("https://h/p").shown == "https://h/p"
    assert TOKEN not in repr(Question(url))


async def test_nor_does_an_error_show_it():
    with pytest.raises(OSError, match="h/p") as caught:
        await nobody_to_ask(Question(ServiceUrl(f"https://h/p?code={TOKEN}")))
    assert TOKEN not in str(caught.value)


@pytest.mark.parametrize("service", SERVICES)
def test_a_configuration_shows_where_its_services_are_and_not_their_queries(service):
    settings = ProxyServerConfig({"demo": STORE}, hmac_keystore=[KEY], validator=anybody, **SERVICES[service]).settings
    for shown in (repr(settings), "\n".join(described(settings))):
        assert PLACES[service] in shown
        assert TOKEN not in shown


@pytest.fixture
def loggers(monkeypatch: pytest.MonkeyPatch):
    """Levels are put back."""
    root, library = logging.getLogger(), logging.getLogger("urllib3")
    levels = root.level, library.level
    yield root, library
    root.setLevel(levels[0])
    library.setLevel(levels[1])


def test_libraries_log_no_details_even_if_all_else_does_later(loggers, caplog):
    root, library = loggers
    without_details("urllib3")
    root.setLevel(logging.DEBUG)
    with pytest.raises(urllib3.exceptions.HTTPError):
        urllib3.PoolManager(retries=False).request("GET", f"http://127.0.0.1:9/?code={TOKEN}")
    assert TOKEN not in caplog.text
    library.setLevel(logging.ERROR)
    without_details("urllib3")
    assert library.level == logging.ERROR
