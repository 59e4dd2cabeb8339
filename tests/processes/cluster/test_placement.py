"""What is written of the nodes of a cell: not their addresses, and not their names."""

from __future__ import annotations

import pytest

from harness.processes.cluster.placement import Rank

RANK = Rank(None, "abc", "10.0.0.1:4242", "somebodys-machine")


@pytest.mark.parametrize(
    ("text", "hidden"),
    [
        ("no answer from 10.0.0.1", "no answer from <ADDRESS>"),
        ("lost [::ffff:10.0.0.1]:4242, 10.0.0.1:9.", "lost [::ffff:<ADDRESS>]:4242, <ADDRESS>."),
        ("110.0.0.1 and 10.0.0.12 are others", "110.0.0.1 and 10.0.0.12 are others"),
        ("could not reach somebodys-machine:4242", "could not reach <HOST>:4242"),
        ("somebodys-machine-2 is another", "somebodys-machine-2 is another"),
    ],
)
def test_addresses_and_names_are_left_out(text: str, hidden: str) -> None:
    assert RANK.hide(text.encode()).decode() == hidden


def test_a_common_name_is_a_word_like_others() -> None:
    assert Rank(None, "abc", "10.0.0.1:1", "root").hide(b"root cause") == b"root cause"
