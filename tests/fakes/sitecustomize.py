"""Python imports this by itself where it starts with this folder on its path: to the harness, the packages that
HIDDEN_PACKAGES names are not installed."""

import importlib.util
import os

hidden, find_spec = os.environ.get("HIDDEN_PACKAGES", "").split(","), importlib.util.find_spec
importlib.util.find_spec = lambda name, package=None: None if name in hidden else find_spec(name, package)
