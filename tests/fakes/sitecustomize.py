"""Python imports this by itself where it starts with this folder on its path: to the harness, the packages that
HIDDEN_PACKAGES names are not installed, and where UNDISTURBED is set no other process uses the machine."""

import importlib.util
import os
import sys
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from typing import Any

hidden, find_spec = os.environ.get("HIDDEN_PACKAGES", "").split(","), importlib.util.find_spec
importlib.util.find_spec = lambda name, package=None: None if name in hidden else find_spec(name, package)


class Undisturbed(MetaPathFinder):
    """Has harness.commands.load, when it is imported, find nothing to wait for."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        if name != "harness.commands.load":
            return None
        sys.meta_path.remove(self)
        spec: Any = find_spec(name)
        execute = spec.loader.exec_module

        def execute_and_change(module: Any) -> None:
            execute(module)
            module.await_quiet = lambda say: 0.0

        spec.loader.exec_module = execute_and_change
        return spec


if "UNDISTURBED" in os.environ:
    sys.meta_path.insert(0, Undisturbed())
