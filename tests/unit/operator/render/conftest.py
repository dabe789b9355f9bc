"""Golden manifests."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml


@pytest.fixture
def golden() -> Callable[[str, Any], None]:
    """Compare a manifest with the one kept; PFD_UPDATE_GOLDEN=1 writes it anew."""

    def compare(name: str, manifest: Any) -> None:
        path = Path(__file__).parent / "golden" / f"{name}.yaml"
        if os.environ.get("PFD_UPDATE_GOLDEN"):
            # members of enums are plain text in what is sent
            sent = json.loads(json.dumps(manifest))
            plain = yaml.dump(sent, Dumper=_NoAliases, sort_keys=False, allow_unicode=True, width=120)
            path.write_text(plain)
        assert yaml.safe_load(path.read_text()) == manifest, f"{name} changed; if that is right: PFD_UPDATE_GOLDEN=1"

    return compare


class _NoAliases(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        return True


_NoAliases.add_multi_representer(str, lambda dumper, text: dumper.represent_str(str(text)))
