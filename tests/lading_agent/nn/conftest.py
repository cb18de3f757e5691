from __future__ import annotations

from typing import Any

import pytest

from lading import profiles


@pytest.fixture(scope="session")
def litert() -> dict[str, Any]:
    return profiles.find("lading-litert").resolved()


@pytest.fixture(scope="session")
def witx() -> dict[str, Any]:
    return profiles.find("wasi-nn-witx").resolved()
