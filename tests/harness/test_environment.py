from __future__ import annotations

import json

import numpy as np

from harness.environment import describe_environment


def test_the_environment_is_json_and_says_what_this_machine_is() -> None:
    environment = json.loads(json.dumps(describe_environment()))
    assert environment["cpu"]
    assert environment["logical_cores"] >= environment["physical_cores"] >= 1
    assert environment["memory_bytes"] > 2**28
    assert environment["packages"]["numpy"] == np.__version__
