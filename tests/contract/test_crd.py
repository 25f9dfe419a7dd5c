"""The files of the CRD say what the model says."""

from pathlib import Path

import pytest
import yaml

from sluice_operator.api import crd
from sluice_operator.api.v1alpha1 import Spec

ROOT = Path(__file__).resolve().parents[2]
CRD = ROOT / "crds" / "sluice.dev_databaseproxies.yaml"
CHART = ROOT / "charts" / "sluice" / "templates" / "crd.yaml"


def test_the_files_are_in_step() -> None:
    assert crd.main(["--crd", str(CRD), "--chart", str(CHART), "--check"]) == 0


def test_a_stale_file_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stale = tmp_path / "crd.yaml"
    stale.write_text(CRD.read_text().replace("maximum: 100", "maximum: 99"))
    assert crd.main(["--crd", str(stale), "--check"]) == 1
    assert "make crds" in capsys.readouterr().err
    assert crd.main(["--crd", str(stale)]) == 0
    assert stale.read_text() == CRD.read_text()


def test_every_field_of_the_spec_is_in_the_schema() -> None:
    version = yaml.safe_load(CRD.read_text())["spec"]["versions"][0]
    properties = version["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]
    assert set(properties) == {field.alias for field in Spec.model_fields.values()}


def test_the_story_in_one_line() -> None:
    version = yaml.safe_load(CRD.read_text())["spec"]["versions"][0]
    columns = version["additionalPrinterColumns"]
    shown = [column["name"] for column in columns if not column.get("priority")]
    assert shown == ["Phase", "Ready", "Endpoint", "Clients", "Pinned", "Age"]
    wide = [column["name"] for column in columns if column.get("priority")]
    assert wide == ["Reason", "Budget", "Open", "Replicas"]


def test_it_is_small_enough_to_be_applied_client_side() -> None:
    """kubectl keeps what it applied in an annotation, and all annotations fit in 256 KiB."""
    assert len(CRD.read_bytes()) < 128 * 1024


def test_the_charts_copy_differs_by_its_switches_alone() -> None:
    lines = CHART.read_text().splitlines()
    kept = [line for line in lines if "{{" not in line]
    kept.remove("    helm.sh/resource-policy: keep")
    assert "\n".join(kept) + "\n" == CRD.read_text()
