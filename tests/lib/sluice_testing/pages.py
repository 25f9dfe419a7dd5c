"""The examples that stand in pages of the documentation."""

import re
from pathlib import Path
from typing import Any

import yaml

_BLOCK = re.compile(r"(?ms)^```yaml\n(.*?)^```$")


def objects(page: Path) -> list[dict[str, Any]]:
    """Each object of each YAML block, in the order of the page."""
    blocks = _BLOCK.findall(page.read_text())
    return [document for block in blocks for document in yaml.safe_load_all(block)]
