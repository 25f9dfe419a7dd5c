"""The CA of local mode: where it is kept, and for how long."""

import os
import stat
from pathlib import Path

import pytest
from cryptography import x509

from sluice_cli.authority import HOSTS, Authority, state_folder
from sluice_cli.complaints import Complaints
from sluice_operator.desired.certificates import CA_LIFE, LEAF_LIFE

NOW = 1_800_000_000.0
DAY = 86400.0


class TestStateFolder:
    def test_where_xdg_says(self) -> None:
        found = state_folder({"XDG_STATE_HOME": "/var/state"}, "shop", "orders")
        assert found == Path("/var/state/sluice/shop-orders")

    @pytest.mark.parametrize("given", ["", "relative/path"])
    def test_the_default(self, given: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("HOME", "/home/somebody")
        found = state_folder({"XDG_STATE_HOME": given}, "shop", "orders")
        assert found == Path("/home/somebody/.local/state/sluice/shop-orders")


class TestAuthority:
    def test_modes(self, tmp_path: Path) -> None:
        before = os.umask(0)
        try:
            Authority(tmp_path / "new" / "folder").issue("shop/orders", NOW)
        finally:
            os.umask(before)
        modes = {
            path.name: stat.S_IMODE(path.stat().st_mode)
            for path in (tmp_path / "new" / "folder").iterdir()
        }
        assert modes == {"ca.key": 0o600, "ca.crt": 0o644}

    def test_the_leaf_is_good_for_every_host(self, tmp_path: Path) -> None:
        issued = Authority(tmp_path, (*HOSTS, "192.0.2.7")).issue("shop/orders", NOW)
        leaf = x509.load_pem_x509_certificate(issued.leaf.certificate.encode())
        names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        assert [str(name.value) for name in names] == [*HOSTS, "192.0.2.7"]

    def test_nothing_changes_while_it_will_do(self, tmp_path: Path) -> None:
        authority = Authority(tmp_path)
        assert authority.issue("shop/orders", NOW) == authority.issue("shop/orders", NOW + DAY)

    def test_the_next_process_takes_the_same_ca(self, tmp_path: Path) -> None:
        first = Authority(tmp_path).issue("shop/orders", NOW)
        second = Authority(tmp_path).issue("shop/orders", NOW + DAY)
        assert first.ca == second.ca
        assert (tmp_path / "ca.crt").read_text() == first.ca.certificate

    def test_the_leaf_is_renewed_while_the_process_runs(self, tmp_path: Path) -> None:
        authority = Authority(tmp_path)
        first = authority.issue("shop/orders", NOW)
        later = authority.issue("shop/orders", NOW + LEAF_LIFE.total_seconds() * 0.7)
        assert first.ca == later.ca
        assert first.leaf != later.leaf

    def test_an_old_ca_is_replaced_on_disk(self, tmp_path: Path) -> None:
        Authority(tmp_path).issue("shop/orders", NOW)
        later = Authority(tmp_path).issue("shop/orders", NOW + CA_LIFE.total_seconds())
        assert (tmp_path / "ca.crt").read_text() == later.ca.certificate

    @pytest.mark.parametrize("broken", ["ca.crt", "ca.key"])
    @pytest.mark.parametrize("content", [b"", b"\xff", None])
    def test_a_broken_one_is_replaced(
        self, tmp_path: Path, broken: str, content: bytes | None
    ) -> None:
        first = Authority(tmp_path).issue("shop/orders", NOW)
        if content is None:
            (tmp_path / broken).unlink()
        else:
            (tmp_path / broken).write_bytes(content)
        second = Authority(tmp_path).issue("shop/orders", NOW)
        assert first.ca != second.ca
        assert Authority(tmp_path).issue("shop/orders", NOW).ca == second.ca

    def test_a_folder_that_is_none(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")
        with pytest.raises(Complaints, match="the CA cannot be kept here"):
            Authority(tmp_path / "file" / "inner").issue("shop/orders", NOW)
