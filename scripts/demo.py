"""Starts rclone's S3 server with a sample bucket and a gateway before it, and says how to talk to it."""

from __future__ import annotations

import os
import re
import secrets
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

import click

REPO = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent
START_SECONDS = 60.0
STOP_SECONDS = 5.0

SAMPLES = {
    "hello.txt": "Hello from behind the gateway.\n",
    "reports/2026/january.csv": "day,requests\n1,1024\n2,2048\n",
    "private/salaries.csv": "the demo's validator denies this one\n",
}


class Child:
    """A process of ours, in a session of its own so that Ctrl-C reaches us first."""

    def __init__(self, name: str, command: list[str], log: Path, env: dict[str, str]) -> None:
        self.name, self.log = name, log
        with log.open("wb") as out:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=env, start_new_session=True
            )

    def wait_for(self, pattern: str) -> re.Match[str]:
        """The first match of `pattern` in what the process prints."""
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and self.process.poll() is None:
            if match := re.search(pattern, self.text()):
                return match
            time.sleep(0.05)
        raise click.ClickException(f"{self.name} did not start. It said:\n{self.text()}")

    def text(self) -> str:
        return self.log.read_text(encoding="utf-8", errors="replace")

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


@click.command(context_settings={"help_option_names": ["-h", "--help"], "show_default": True})
@click.option("--headless", is_flag=True, help="Use mitmdump: no web interface.")
@click.option("--port", default=6190, type=click.IntRange(0, 65535), help="The gateway's port.")
@click.option("--web-port", default=8081, type=click.IntRange(1, 65535), help="mitmweb's port.")
@click.option("--bucket", default="demo", help="The sample bucket.")
@click.option("--access-key", default="demo-key", help="The client's access key.")
@click.option("--secret-key", default="demo-secret", help="The client's secret key.")
def demo(headless: bool, port: int, web_port: int, bucket: str, access_key: str, secret_key: str) -> None:
    """Start a gateway with a real S3 server behind it, until Ctrl-C."""
    for number in (signal.SIGTERM, signal.SIGHUP):  # as Ctrl-C: stop what was started
        signal.signal(number, signal.default_int_handler)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="osp-demo-")))
        backend_keys = secrets.token_hex(8), secrets.token_hex(16)
        try:
            backend_port = _start_store(stack, folder, bucket, backend_keys)
            env = {
                **os.environ,
                "DEMO_BUCKET": bucket,
                "DEMO_ACCESS_KEY": access_key,
                "DEMO_SECRET_KEY": secret_key,
                "DEMO_BACKEND_PORT": str(backend_port),
                "DEMO_BACKEND_ACCESS_KEY": backend_keys[0],
                "DEMO_BACKEND_SECRET_KEY": backend_keys[1],
            }
            gateway, port, web = _start_gateway(stack, folder, env, port, None if headless else web_port)
            click.echo(_how_to(f"http://127.0.0.1:{port}", bucket, access_key, secret_key, web))
            click.echo("ready")
            sys.stdout.flush()
            status = gateway.process.wait()
            raise click.ClickException(f"the gateway ended with status {status}. It said:\n{gateway.text()}")
        except KeyboardInterrupt:
            click.echo("\nstopping", err=True)


def _start_store(stack: ExitStack, folder: Path, bucket: str, keys: tuple[str, str]) -> int:
    """rclone's S3 server with the sample objects; its port."""
    root = folder / "store"
    for key, text in SAMPLES.items():
        path = root / bucket / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    store = Child(
        "rclone",
        [
            str(BIN / "rclone"),
            "serve",
            "s3",
            "--addr",
            "127.0.0.1:0",
            "--config",
            str(folder / "rclone.conf"),
            str(root),
        ],
        folder / "rclone.log",
        {**os.environ, "RCLONE_AUTH_KEY": f'"{keys[0]},{keys[1]}"'},
    )
    stack.callback(store.stop)
    return int(store.wait_for(r"http://127\.0\.0\.1:(\d+)/")[1])


def _start_gateway(
    stack: ExitStack, folder: Path, env: dict[str, str], port: int, web_port: int | None
) -> tuple[Child, int, str | None]:
    """The addon in mitmweb, or in mitmdump where no web port is wanted; its port and the web page's address."""
    command = [
        str(BIN / ("mitmdump" if web_port is None else "mitmweb")),
        *("-s", str(REPO / "addon" / "osp.py")),
        *("--mode", f"reverse:http://s3.invalid@127.0.0.1:{port}"),
        *("--set", f"osp_config={REPO / 'scripts' / 'demo_server.py'}"),
        *("--set", f"confdir={folder / 'mitmproxy'}"),
    ]
    web = None
    if web_port is not None:
        token = secrets.token_hex(8)
        web = f"http://127.0.0.1:{web_port}/?token={token}"
        command += ["--web-port", str(web_port), "--no-web-open-browser", "--set", f"web_password={token}"]
    gateway = Child("the gateway", command, folder / "gateway.log", env)
    stack.callback(gateway.stop)
    match = gateway.wait_for(r"listening at 127\.0\.0\.1:(\d+)")
    if web is not None:
        gateway.wait_for(r"Web server listening")
    return gateway, int(match[1]), web


def _how_to(url: str, bucket: str, access_key: str, secret_key: str, web: str | None) -> str:
    """Lines to paste."""
    look = f"look at the traffic:\n  {web}\n" if web else ""
    return f"""\
gateway {url}, bucket {bucket}, access key {access_key}, secret key {secret_key}, region us-east-1

aws-cli:
  export AWS_ACCESS_KEY_ID={access_key} AWS_SECRET_ACCESS_KEY={secret_key} AWS_DEFAULT_REGION=us-east-1
  aws --endpoint-url {url} s3 ls s3://{bucket}/ --recursive
  aws --endpoint-url {url} s3 cp s3://{bucket}/hello.txt -

boto3:
  import boto3
  s3 = boto3.client("s3", endpoint_url="{url}", region_name="us-east-1",
                    aws_access_key_id="{access_key}", aws_secret_access_key="{secret_key}")
  print(s3.get_object(Bucket="{bucket}", Key="hello.txt")["Body"].read())

curl:
  curl --aws-sigv4 aws:amz:us-east-1:s3 --user {access_key}:{secret_key} \\
    -H 'x-amz-content-sha256: UNSIGNED-PAYLOAD' {url}/{bucket}/hello.txt

refused, because the demo's validator says no:
  curl --aws-sigv4 aws:amz:us-east-1:s3 --user {access_key}:{secret_key} \\
    -H 'x-amz-content-sha256: UNSIGNED-PAYLOAD' {url}/{bucket}/private/salaries.csv

{look}"""


if __name__ == "__main__":
    demo()
