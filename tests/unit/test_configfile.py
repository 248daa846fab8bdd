from __future__ import annotations

import os
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from osp_gateway import configfile
from osp_gateway.config import ConfigError, ProxyServerConfig
from osp_gateway.mitm import serve
from osp_gateway.sigv4.keys import KeyPair

Write = Callable[..., Path]

PRELUDE = """
import os
from osp_gateway import ProxyServerConfig, start_server

def validator(token, bucket):
    return True

def make(name="demo", **more):
    return ProxyServerConfig(
        cos_map={name: {"host": "store.example.test", "access_key": "a", "secret_key": "fake"}},
        hmac_keystore=[{"access_key": "c", "secret_key": "fake"}],
        validator=validator, http_port=0, **more,
    )
"""


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write(text: str, name: str = "server.py", prelude: str = PRELUDE) -> Path:
        path = tmp_path / name
        path.write_text((prelude if name.endswith(".py") else "") + textwrap.dedent(text), encoding="utf-8")
        return path

    return write


@pytest.fixture(autouse=True)
def nothing_is_served(monkeypatch: pytest.MonkeyPatch) -> None:
    async def served(*_: object) -> None:
        raise AssertionError("a gateway was started while its configuration was being read")

    monkeypatch.setattr(serve, "_serve", served)


@pytest.fixture
def unset(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Unset an environment variable that a file may set: it is put back afterwards."""

    def unset(name: str) -> None:
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)

    return unset


def bucket_of(config: ProxyServerConfig) -> str:
    return config.settings.routes[0].pattern


def problems(path: Path) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as caught:
        configfile.load(path)
    return caught.value.problems


def the_problem(path: Path) -> str:
    (line,) = problems(path)
    assert "\n" not in line
    return line


def test_a_python_file_may_define_config(write: Write) -> None:
    assert bucket_of(configfile.load(write("config = make('defined')"))) == "defined"


def test_a_python_file_may_call_start_server_as_a_program(write: Write) -> None:
    path = write("if __name__ == '__main__':\n    start_server(make('served'))\n")
    assert bucket_of(configfile.load(path)) == "served"


def test_a_python_file_may_call_start_server_in_main(write: Write) -> None:
    path = write("def main() -> None:\n    start_server(make('main'))\n\nif __name__ == '__main__':\n    main()\n")
    assert bucket_of(configfile.load(path)) == "main"


def test_a_python_file_that_calls_start_server_at_once_is_read_and_not_served(write: Write) -> None:
    assert bucket_of(configfile.load(write("start_server(make('at once'))\n"))) == "at once"


def test_nothing_after_start_server_is_run(write: Write) -> None:
    path = write("if __name__ == '__main__':\n    start_server(make())\n    raise AssertionError\n")
    assert bucket_of(configfile.load(path)) == "demo"


def test_an_except_around_start_server_does_not_catch_it(write: Write) -> None:
    path = write(
        """
        if __name__ == '__main__':
            try:
                start_server(make('caught'))
            except Exception:
                pass
        """
    )
    assert bucket_of(configfile.load(path)) == "caught"


def test_config_comes_before_start_server(write: Write) -> None:
    path = write("config = make('defined')\nif __name__ == '__main__':\n    start_server(make('served'))\n")
    assert bucket_of(configfile.load(path)) == "defined"


@pytest.mark.parametrize("text", ["", "config = None", "x = make()", "def main():\n    start_server(make())"])
def test_a_python_file_with_neither_is_a_mistake(write: Write, text: str) -> None:
    assert the_problem(write(text)) == (
        "expected `config = ProxyServerConfig(...)` or a call of start_server, found neither"
    )


@pytest.mark.parametrize(("text", "kind"), [("config = {}", "dict"), ("config = make", "function")])
def test_config_of_another_type_is_a_mistake(write: Write, text: str, kind: str) -> None:
    assert the_problem(write(text)) == f"config: expected a ProxyServerConfig, got {kind}"


def test_after_a_file_was_read_start_server_serves_again(write: Write) -> None:
    configfile.load(write("if __name__ == '__main__':\n    start_server(make())\n"))
    problems(write("if __name__ == '__main__':\n    1 / 0\n"))
    with pytest.raises(AssertionError, match="a gateway was started"):
        serve.start_server(configfile.load(write("config = make()")))


@pytest.mark.parametrize("how", ["config = make()", "if __name__ == '__main__':\n    start_server(make())"])
def test_functions_of_the_file_still_find_its_globals_afterwards(write: Write, how: str) -> None:
    prelude = PRELUDE.replace("return True", "return (token, bucket) in ALLOWED")
    settings = configfile.load(write(f"ALLOWED = {{('t', 'b')}}\n{how}\n", prelude=prelude)).settings
    assert settings.validator is not None
    assert settings.validator("t", "b") is True


def test_a_python_file_may_import_its_neighbours(write: Write) -> None:
    write("NAME = 'from-a-neighbour'", name="osp_test_neighbour.py", prelude="")
    before = list(sys.path)
    try:
        assert bucket_of(configfile.load(write("from osp_test_neighbour import NAME\nconfig = make(NAME)"))) == (
            "from-a-neighbour"
        )
    finally:
        sys.modules.pop("osp_test_neighbour", None)
    assert sys.path == before


def test_mistakes_in_the_configuration_are_told_as_they_are(write: Write) -> None:
    assert the_problem(write("config = make(threads=0)")).startswith("threads: ")


def test_whatever_a_file_raises_is_told(write: Write) -> None:
    text = "class Ours(BaseException):\n    pass\ndef f():\n    raise Ours('words')"
    assert the_problem(write(f"{text}\nf()", prelude="")) == "line 4: Ours: words"


def test_who_interrupts_the_reading_of_a_file_ends_it(write: Write) -> None:
    with pytest.raises(KeyboardInterrupt):
        configfile.load(write("raise KeyboardInterrupt"))


UNQUOTED = "NameError: a name that is not defined; it looks like a secret without its quotes"


def test_a_syntax_error_is_told_with_its_line(write: Write) -> None:
    line = the_problem(write("config = (\nx y\n", prelude=""))
    assert line.startswith("line 2: SyntaxError: ") or line.startswith("line 1: SyntaxError: ")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("import no_such_module_of_osp", "line 1: ModuleNotFoundError: No module named 'no_such_module_of_osp'"),
        ("x = 1\nundefined", "line 2: NameError: name 'undefined' is not defined"),
        ("secret_key = FAKEKEY0123456789", f"line 1: {UNQUOTED}"),
        ("x = fake_secret_without_quotes_of_forty_char", f"line 1: {UNQUOTED}"),
        ("\n\nNone.x", "line 3: AttributeError: 'NoneType' object has no attribute 'x'"),
        ("def f():\n    1 / 0\nf()", "line 2: ZeroDivisionError"),
        ("open('no-such-file-of-osp')", "line 1: FileNotFoundError"),
    ],
)
def test_an_exception_is_told_with_its_line_and_type(write: Write, text: str, told: str) -> None:
    assert the_problem(write(text, prelude="")) == told


@pytest.mark.parametrize(
    "text",
    [
        "int(SECRET)",
        "float(SECRET)",
        "{}[SECRET]",
        "open(SECRET)",
        "SECRET.encode('ascii').decode('utf-16')",
        "import urllib.parse; urllib.parse.urlsplit('http://[' + SECRET)",
    ],
)
def test_an_exception_is_told_without_the_values_that_it_holds(
    write: Write, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OSP_TEST_SECRET", "MARKER-fake-secret")
    line = the_problem(write(f"import os\nSECRET = os.environ['OSP_TEST_SECRET']\n{text}", prelude=""))
    assert "MARKER" not in line


@pytest.mark.parametrize("text", ["raise SystemExit", "raise SystemExit(2)", "import sys; sys.exit(1)"])
def test_a_file_that_ends_the_program_is_a_mistake(write: Write, text: str) -> None:
    assert "SystemExit" in the_problem(write(text))


TOML = """
http_port = 6190
[cos_map.demo]
host = "store.example.test"
access_key = "fake-key"
secret_key = "${OSP_TEST_SECRET}"
[[hmac_keystore]]
access_key = "c"
secret_key = "a-${OSP_TEST_SECRET}-${OSP_TEST_SECRET}"
buckets = ["*"]
"""


def test_a_toml_file_needs_no_code(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OSP_TEST_SECRET", "fake")
    settings = configfile.load(write(TOML, name="server.toml")).settings
    assert settings.routes[0].credentials == KeyPair("fake-key", "fake")
    assert settings.keystore == {"c": KeyPair("c", "a-fake-fake")}
    assert [listener.port for listener in settings.listeners] == [6190]


def test_a_number_may_come_from_the_environment(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OSP_TEST_SECRET", "fake")
    monkeypatch.setenv("OSP_TEST_PORT", "7000")
    text = TOML.replace("6190", '"${OSP_TEST_PORT}"')
    assert configfile.load(write(text, name="server.toml")).settings.listeners[0].port == 7000


def test_what_comes_from_the_environment_is_not_looked_at_again(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OSP_TEST_SECRET", "${HOME}")
    credentials = configfile.load(write(TOML, name="server.toml")).settings.routes[0].credentials
    assert credentials == KeyPair("fake-key", "${HOME}")


def test_a_variable_that_is_not_set_is_named_with_its_place(write: Write, unset: Callable[[str], None]) -> None:
    unset("OSP_TEST_SECRET")
    lines = problems(write(TOML, name="server.toml"))
    assert lines[0] == "cos_map.demo.secret_key: the environment variable OSP_TEST_SECRET is not set"
    assert all(line.startswith("hmac_keystore[0].secret_key: ") for line in lines[1:])


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("x = ", "not valid TOML: "),
        ("[cos_map\n", "not valid TOML: "),
        pytest.param("x = " + "[" * 10_000, "not valid TOML: it is nested too deeply", id="arrays in arrays"),
        pytest.param("a." * 10_000 + "b = 1", "not valid TOML: it is nested too deeply", id="tables in tables"),
        pytest.param(f"http_port = {'9' * 10_000}", "not valid TOML: ", id="an integer of many digits"),
        pytest.param(
            f"http_port = 0x{'f' * 10_000}\n[cos_map]\n", "http_port: the integer is too large", id="the same in hex"
        ),
        ("", "cos_map: missing, expected a table of buckets"),
        ("zzz = 1\n[cos_map]\n", "zzz: unknown field; known are "),
        ("validator = 'x'\n[cos_map]\n", "validator: unknown field; known are "),
    ],
)
def test_a_mistake_in_a_toml_file_is_told_in_one_line(write: Write, text: str, told: str) -> None:
    assert the_problem(write(text, name="server.toml")).startswith(told)


def test_a_toml_file_that_is_not_utf_8_is_a_mistake(tmp_path: Path) -> None:
    (tmp_path / "server.toml").write_bytes(b"x = '\xff'")
    assert the_problem(tmp_path / "server.toml").startswith("not valid TOML: ")


def test_a_mistake_in_a_value_from_the_environment_does_not_show_it(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OSP_TEST_SECRET", "MARKER fake secret")
    lines = problems(write(TOML, name="server.toml"))
    assert len(lines) == 2
    assert "MARKER" not in "".join(lines)


def test_the_environment_file_beside_the_configuration_is_read(write: Write, unset: Callable[[str], None]) -> None:
    unset("OSP_TEST_SECRET")
    write("OSP_TEST_SECRET=from-the-file\n", name=".env")
    credentials = configfile.load(write(TOML, name="server.toml")).settings.routes[0].credentials
    assert credentials == KeyPair("fake-key", "from-the-file")


def test_a_python_file_sees_the_environment_file_too(write: Write, unset: Callable[[str], None]) -> None:
    unset("OSP_TEST_NAME")
    write("OSP_TEST_NAME=from-the-file\n", name=".env")
    assert bucket_of(configfile.load(write("config = make(os.environ['OSP_TEST_NAME'])"))) == "from-the-file"


def test_what_is_set_already_comes_before_the_environment_file(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OSP_TEST_NAME", "set-already")
    write("OSP_TEST_NAME=from-the-file\n", name=".env")
    assert bucket_of(configfile.load(write("config = make(os.environ['OSP_TEST_NAME'])"))) == "set-already"


def test_an_environment_file_somewhere_else_is_not_read(
    write: Write, unset: Callable[[str], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unset("OSP_TEST_NAME")
    inner = tmp_path / "inner"
    inner.mkdir()
    monkeypatch.chdir(tmp_path)
    write("OSP_TEST_NAME=from-the-file\n", name=".env")
    configfile.load(write("config = make()", name="inner/server.py"))
    assert "OSP_TEST_NAME" not in os.environ


@pytest.mark.parametrize("name", ["server.yaml", "server", "server.pyc", "server.json"])
def test_a_file_of_another_kind_is_a_mistake(write: Write, name: str) -> None:
    assert the_problem(write("", name=name)).startswith("unknown kind of file ")


@pytest.mark.parametrize("name", ["no-such.py", "no-such.toml", "."])
def test_a_file_that_is_not_there_is_a_mistake(tmp_path: Path, name: str) -> None:
    assert the_problem(tmp_path / name) == "no such file, expected a .py or .toml file"


def test_arguments_of_the_surrounding_program_are_not_the_files(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["osp", "check", "server.py"])
    seen: dict[str, Any] = {}
    monkeypatch.setattr("builtins._osp_test_seen", seen, raising=False)
    configfile.load(write("import sys\n_osp_test_seen['argv'] = list(sys.argv[1:])\nconfig = make()"))
    assert seen["argv"] == []
