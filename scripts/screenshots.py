"""Pictures of mitmweb with the gateway in it, as a person sees it: a real store, real clients, a real browser."""

from __future__ import annotations

import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import click
from botocore.exceptions import ClientError
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

ROOT: Final = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from support import forms  # noqa: E402
from support.chunked_requests import Upload  # noqa: E402
from support.mitmweb import PASSWORD, Web, mitmweb  # noqa: E402
from support.processes import config_for, rclone_server  # noqa: E402
from support.raw import ask  # noqa: E402
from support.raw_s3 import send  # noqa: E402
from support.s3 import client  # noqa: E402
from support.signing import signed  # noqa: E402

WIDTH, HEIGHT = 1280, 800
SECONDS: Final = 30
ROWS: Final = ".flow-table tbody tr[class]"
ROW_HEIGHT: Final = 40
VALIDATOR: Final = """
def validator(token, bucket, request):
    return not request.key.startswith("private/")
"""


@dataclass(frozen=True)
class Picture:
    """What is in a picture: the tab of which flow, in which view, and words that must be there to be read."""

    name: str
    path: str
    tab: str
    view: str
    words: Sequence[str]


PICTURES: Final = (
    Picture("request", "/reports/2026/summary.csv", "request", "S3 request", ("PutObject", "as it went to the store")),
    Picture("refused", "/reports/private/salaries.csv", "response", "S3 XML", ("AccessDenied", "denied by validator")),
    Picture("explained", "/reports/moved", "response", "S3 explanation", ("host-port-", "as received", "as signed")),
    Picture("listing", "/reports", "response", "S3 XML", ("Contents", "2026/summary.csv")),
    Picture("chunks", "/reports/big", "request", "aws-chunked", ("signature good", "complete")),
    Picture("form", "/reports/", "request", "S3 policy form", ("starts-with", "Policy")),
    Picture("fault", "/reports/2026/details.csv", "request", "S3 request", ("FAULT", "250 ms of latency", "rule slow")),
)


@contextmanager
def browser() -> Iterator[Any]:
    """Chromium without a window."""
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or shutil.which("google-chrome") or ""
    for argument in ("headless=new", "no-sandbox", "disable-dev-shm-usage", "hide-scrollbars", "no-proxy-server"):
        options.add_argument(f"--{argument}")
    options.add_argument(f"--window-size={WIDTH},{HEIGHT}")
    driver = webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver")))
    try:
        driver.set_window_size(WIDTH, HEIGHT)
        size = driver.execute_script("return [window.innerWidth, window.innerHeight]")
        driver.set_window_size(2 * WIDTH - size[0], 2 * HEIGHT - size[1])
        yield driver
    finally:
        driver.quit()


def traffic(web: Web) -> None:
    """What a client does in a morning."""
    url, port = web.gateway.url, web.gateway.ports[0]
    s3 = client(url)
    for key in ("2026/summary.csv", "2026/details.csv", "2025/summary.csv"):
        s3.put_object(Bucket="reports", Key=key, Body=b"year,total\n2026,42\n", ContentType="text/csv")
    for _ in range(2):
        s3.get_object(Bucket="reports", Key="2026/summary.csv")["Body"].read()
    for key in ("private/salaries.csv", "no-such-key"):
        try:
            s3.get_object(Bucket="reports", Key=key)
        except ClientError:
            continue
        raise AssertionError(f"{key} should not be there")
    moved = signed(port, "GET", "/reports/moved", host=f"127.0.0.1:{port}")
    ask(port, moved.without("host").plus("Host", "127.0.0.1").octets)
    big = Upload("STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER", b"0123456789abcdef" * 1500)
    ask(port, big.request(port, "/reports/big").octets)
    pairs = forms.signed_fields(
        {"key": "uploads/photo.jpg", "acl": "private"},
        [["starts-with", "$key", "uploads/"], {"acl": "private"}, ["content-length-range", 1, 1_000_000]],
        bucket="reports",
        at=time.time(),
    )
    headers = {"Content-Type": forms.CONTENT_TYPE, "Host": f"127.0.0.1:{port}"}
    send("POST", url, "/reports/", headers, forms.form_body(pairs, b"a picture", filename="photo.jpg"))
    s3.put_object(Bucket="reports", Key="2026/summary.csv", Body=b"year,total\n2026,43\n", ContentType="text/csv")
    s3.list_objects_v2(Bucket="reports", Prefix="202")
    web.command("osp.faults.add", "name=slow", "type=latency", "latency=250", "keys=2026/details.csv")
    s3.put_object(Bucket="reports", Key="2026/details.csv", Body=b"year,total\n2026,44\n", ContentType="text/csv")
    web.command("osp.faults.clear")


def take(web: Web, driver: Any, folder: Path) -> dict[str, str]:
    """The pictures; returns the text in each.

    Raises:
        AssertionError: something that is to be read is not there, or lies beyond the right edge.
    """
    driver.get(f"{web.url}/?token={PASSWORD}")
    texts = {"flows": _shoot(driver, folder / "flows.png", ("reports", "403", "GET"))}
    for picture in PICTURES:
        _open(driver, [flow["id"] for flow in web.flows()].index(web.flow(picture.path).removeprefix("@")), picture.tab)
        _wait(driver, lambda found, view=picture.view: view.lower() in _text(found).lower())
        texts[picture.name] = _shoot(driver, folder / f"{picture.name}.png", picture.words)
    return texts


def read(web: Web, driver: Any) -> Iterator[str]:
    """The text of the page: of the list, and of each tab of one flow for each path and status."""
    flows = web.flows()
    # The page holds only the rows that can be seen.
    driver.set_window_size(WIDTH, HEIGHT + ROW_HEIGHT * len(flows))
    driver.get(f"{web.url}/?token={PASSWORD}")
    _wait(driver, lambda found: len(found.find_elements(By.CSS_SELECTOR, ROWS)) == len(flows))
    yield _text(driver)
    seen = set()
    for row, flow in enumerate(flows):
        kind = (flow["request"]["path"].partition("?")[0], (flow.get("response") or {}).get("status_code"))
        if kind in seen:
            continue
        seen.add(kind)
        for tab in ("request", "response", "comment"):
            if tab == "comment" or flow.get(tab):
                _open(driver, row, tab)
                yield _settled(driver)


def _settled(driver: Any) -> str:
    """The text of the page once it has stopped changing."""
    text = ""
    while (now := _text(driver)) != text:
        text = now
        time.sleep(0.1)
    return text


def _wait(driver: Any, condition: Callable[[Any], Any]) -> Any:
    return WebDriverWait(driver, SECONDS, poll_frequency=0.05).until(condition)


def _open(driver: Any, row: int, tab: str) -> None:
    """Click on a flow, then on one of its tabs."""
    rows = driver.find_elements(By.CSS_SELECTOR, ROWS)
    driver.execute_script("arguments[0].click()", rows[row])
    tabs = _wait(driver, lambda found: found.find_elements(By.CSS_SELECTOR, ".flow-detail nav a"))
    driver.execute_script("arguments[0].click()", next(one for one in tabs if one.text.lower() == tab))


def _text(driver: Any) -> str:
    text: str = driver.execute_script("return document.body.innerText")
    return text


def _shoot(driver: Any, file: Path, words: Sequence[str]) -> str:
    try:
        _wait(driver, lambda found: all(word in _text(found) for word in words))
    except Exception as error:
        raise AssertionError(f"{file.name}: expected {words}, found:\n{_text(driver)}") from error
    driver.execute_script("document.querySelector('.contentview, .content-view, pre')?.scrollIntoView()")
    beyond = driver.execute_script("return document.documentElement.scrollWidth - window.innerWidth")
    assert beyond <= 0, f"{file.name}: {beyond} pixels lie beyond the right edge"
    driver.save_screenshot(str(file))
    return _text(driver)


@contextmanager
def shown(folder: Path) -> Iterator[Web]:
    """mitmweb before a store, after some traffic."""
    with rclone_server(folder) as store:
        store.make_bucket("reports")
        config = config_for(store, extra_buckets="'reports': STORE", validator=VALIDATOR)
        options = folder / "gateway" / "confdir" / "config.yaml"
        options.parent.mkdir(parents=True)
        options.write_text("web_columns: [method, path, status, size, time, comment]\nweb_theme: light\n")
        with mitmweb(folder / "gateway", config) as web:
            traffic(web)
            yield web


@click.command()
@click.option("--out", type=click.Path(path_type=Path), default=ROOT / "docs", help="Where the pictures go.")
def main(out: Path) -> None:
    """Take the pictures that the README shows."""
    out.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, shown(Path(folder)) as web, browser() as driver:
        for name in take(web, driver, out):
            click.echo(f"{out / name}.png")


if __name__ == "__main__":
    main()
