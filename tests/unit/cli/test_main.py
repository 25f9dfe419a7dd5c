"""The commands as a person calls them, and what they say of bad files."""

import io
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

from sluice_cli.main import main
from sluice_proxy import __version__
from sluice_testing.specs import manifest

EXAMPLES = Path(__file__).parents[3] / "docs" / "examples"
PROXY = "DatabaseProxy shop/orders"


def secret(name: str = "orders-app", namespace: str = "shop", **data: str) -> dict[str, Any]:
    fields = data or {"username": "app", "password": "s3cret"}
    metadata = {"name": name, "namespace": namespace}
    return {"kind": "Secret", "metadata": metadata, "stringData": fields}


def put(folder: Path, *documents: Any) -> str:
    file = folder / "a.yaml"
    file.write_text(yaml.safe_dump_all(documents))
    return str(file)


class Told:
    """What a call printed, and how it ended."""

    def __init__(self, code: int, printed: Any):
        self.code, self.out, self.err = code, printed.out, printed.err


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Any:
    def called(*arguments: str) -> Told:
        code = main(arguments)
        return Told(code, capsys.readouterr())

    return called


def test_the_examples_are_good(call: Any) -> None:
    told = call("check", "-f", str(EXAMPLES))
    assert told.code == 0, told.out
    assert f"{EXAMPLES / 'orders.yaml'}: DatabaseProxy shop/orders: ok" in told.out


def test_check_says_what_it_found(call: Any, tmp_path: Path) -> None:
    file = put(tmp_path, manifest(), secret(), {"kind": "ConfigMap"})
    told = call("check", "-f", file)
    assert told.out.splitlines() == [f"{file}: {PROXY}: ok", f"{file}: Secret shop/orders-app: ok"]
    assert told.code == 0


BAD = (
    ("nothing", (), "{file}: no DatabaseProxy in it"),
    ("no proxy", (secret(),), "{file}: no DatabaseProxy in it"),
    (
        "a value out of bounds",
        (manifest({"spec.connectionPool": {"maxConnectionsPercent": 0}}), secret()),
        "{file}: {proxy}: spec.connectionPool.maxConnectionsPercent: "
        "Input should be greater than or equal to 1",
    ),
    (
        "an unknown field",
        (manifest({"spec.conectionPool": {}}), secret()),
        "{file}: {proxy}: spec.conectionPool: unknown field",
    ),
    (
        "a namespace that is a path",
        (manifest({"metadata.namespace": "../up"}), secret()),
        "{file}: DatabaseProxy ../up/orders: metadata.namespace: not a name of a namespace",
    ),
    (
        "a missing Secret",
        (manifest(),),
        "{file}: {proxy}: spec.auth[0].secretRef.name: "
        "Secret orders-app does not exist in namespace shop of the files given",
    ),
    (
        "a Secret of another namespace",
        (manifest(), secret(namespace="default")),
        "{file}: {proxy}: spec.auth[0].secretRef.name: "
        "Secret orders-app does not exist in namespace shop of the files given",
    ),
    (
        "a Secret without password",
        (manifest(), secret(username="app")),
        "{file}: {proxy}: spec.auth[0].secretRef: Secret orders-app has no key password",
    ),
    (
        "a CA that is none",
        (
            manifest({"spec.targetTLS": {"mode": "VerifyCA", "caSecretRef": {"name": "ca"}}}),
            secret(),
            secret("ca", **{"ca.crt": "nothing"}),
        ),
        "{file}: {proxy}: spec.targetTLS.caSecretRef: "
        "key ca.crt of Secret ca holds no PEM certificate",
    ),
    (
        "the same Secret twice",
        (manifest(), secret(), secret()),
        "{file}: Secret shop/orders-app: stands twice, also in {file}",
    ),
    (
        "the same proxy twice",
        (manifest(), manifest(), secret()),
        "{file}: {proxy}: stands twice, also in {file}",
    ),
    (
        "a Secret without name",
        (manifest(), {"kind": "Secret"}),
        "{file}:13: Secret: metadata.name: required",
    ),
)  # fmt: skip


@pytest.mark.parametrize(
    ("documents", "line"), [case[1:] for case in BAD], ids=[case[0] for case in BAD]
)
def test_check_blames_the_field(call: Any, tmp_path: Path, documents: Any, line: str) -> None:
    file = put(tmp_path, *documents)
    told = call("check", "-f", file)
    assert told.out.splitlines() == [line.format(file=file, proxy=PROXY)]
    assert told.code == 1


def test_each_bad_entry_of_auth_is_blamed(call: Any, tmp_path: Path) -> None:
    auth = [{"secretRef": {"name": name}} for name in ("no", "orders-app", "gone", "again")]
    file = put(tmp_path, manifest({"spec.auth": auth}), secret(), secret("again"))
    told = call("check", "-f", file)
    paths = [line.split(": ")[2] for line in told.out.splitlines()]
    assert paths == [
        "spec.auth[0].secretRef.name",
        "spec.auth[2].secretRef.name",
        "spec.auth[3].secretRef",
    ]
    assert "are both of the role app" in told.out


def test_secrets_may_be_elsewhere(call: Any, tmp_path: Path) -> None:
    auth = [{"secretRef": {"name": "elsewhere"}}, {"secretRef": {"name": "orders-app"}}]
    file = put(tmp_path, manifest({"spec.auth": auth}), secret())
    assert call("check", "-f", file).code == 1
    assert call("check", "--secrets-elsewhere", "-f", file).code == 0
    file = put(tmp_path, manifest({"spec.auth": auth}), secret(username="app"))
    told = call("check", "--secrets-elsewhere", "-f", file)
    assert (told.code, "spec.auth[1].secretRef: " in told.out) == (1, True)


def test_standard_input(call: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    text = yaml.safe_dump_all([manifest(), secret()]).encode()
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(text)))
    told = call("check", "-f", "-")
    assert told.out.splitlines()[0] == f"standard input: {PROXY}: ok"


class TestRun:
    """What keeps it from beginning; that it serves is for the integration tests."""

    @pytest.fixture(autouse=True)
    def _state(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))

    def test_the_same_words_as_check(self, call: Any, tmp_path: Path) -> None:
        file = put(tmp_path, manifest())
        told = call("run", "-f", file)
        assert told.code == 1
        assert told.err == f"sluice: {call('check', '-f', file).out}"

    def test_two_proxies(self, call: Any, tmp_path: Path) -> None:
        cart = manifest({"metadata.name": "cart"})
        file = put(tmp_path, manifest(), cart, secret(username="app"))
        told = call("run", "-f", file)
        assert told.err == (
            f"sluice: {file}: 2 DatabaseProxy objects: shop/orders ({file}), shop/cart ({file}); "
            "choose one with --name\n"
        )

    @pytest.mark.parametrize("name", ["cart", "shop/cart"])
    def test_one_of_two(self, call: Any, tmp_path: Path, name: str) -> None:
        cart = manifest({"metadata.name": "cart"})
        file = put(tmp_path, manifest(), cart, secret(username="app"))
        told = call("run", "-f", file, "--name", name)
        assert "DatabaseProxy shop/cart: spec.auth[0].secretRef" in told.err

    def test_none_of_two(self, call: Any, tmp_path: Path) -> None:
        told = call("run", "-f", put(tmp_path, manifest(), secret()), "--name", "cart")
        assert "no DatabaseProxy called cart in it" in told.err

    @pytest.mark.parametrize("address", ["", "localhost", "x:0", "x:65536", "x:-1", "x:y", "5432"])
    def test_an_address_that_is_none(self, call: Any, address: str) -> None:
        with pytest.raises(SystemExit) as ended:
            call("run", "-f", "a.yaml", "--listen", address)
        assert ended.value.code == 2


def test_version(call: Any) -> None:
    assert call("version").out == f"sluice {__version__}\n"


def test_help_imports_no_library() -> None:
    code = (
        "import sys\nfrom sluice_cli.main import main\n"
        "try: main(['--help'])\nexcept SystemExit: pass\n"
        "print(sorted({'asyncio', 'cryptography', 'pydantic', 'yaml'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=60
    )
    assert "run" in done.stdout
    assert done.stdout.splitlines()[-1] == "[]"


def test_without_the_extra(call: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "yaml", None)
    for name in ("check", "manifests", "documents"):
        monkeypatch.delitem(sys.modules, f"sluice_cli.{name}", raising=False)
    told = call("check", "-f", put(tmp_path, manifest(), secret()))
    assert told.code == 1
    assert told.err == "sluice: yaml is missing: pip install 'sluice[local]'\n"
