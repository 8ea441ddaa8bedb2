"""The session does not depend on widgets."""

from __future__ import annotations

import pkgutil
import subprocess
import sys
from types import ModuleType

import pytest

import terrarium.app.session
import terrarium.app.worker


@pytest.mark.parametrize("package", [terrarium.app.session, terrarium.app.worker], ids=["session", "worker"])
def test_no_widget_is_imported(package: ModuleType) -> None:
    names = [module.name for module in pkgutil.iter_modules(package.__path__, f"{package.__name__}.")]
    code = f"import sys, {', '.join(names)}; sys.exit('PySide6.QtWidgets' in sys.modules or 'torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
