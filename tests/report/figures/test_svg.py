"""The figures as they are on the page."""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image

from harness.analysis.analysis import analyse
from harness.records.reading import read_run
from harness.report.figures.copies import plot_copies
from harness.report.figures.lengths import plot_bit_error
from harness.report.figures.loss import plot_loss
from harness.report.figures.svg import css_colour, embed

Make = Callable[..., dict[str, Any]]


def test_each_panel_is_a_picture_with_its_values_under_the_pointer(
    run_folder: Callable[..., Path], record: Make
) -> None:
    cells = [record(backend, repeat=repeat, n_steps=2001) for backend in ("torch", "jax") for repeat in range(2)]
    figure = plot_loss(analyse(read_run(run_folder(*cells))))
    assert figure is not None
    by_step, by_time, legend = embed(figure, "loss")
    assert "Training loss by step" in by_step
    assert "Training loss by time" in by_time
    assert "least possible, 0.0072" in by_step
    assert "torch idiomatic" in legend
    assert re.search(r"<title>2,001\ntorch idiomatic: [\d.]+\njax idiomatic: [\d.]+</title>", by_step)


def test_equal_figures_are_equal_bytes_in_the_pages_colours(mixed_run: Path) -> None:
    analysis = analyse(read_run(mixed_run))
    first, second = (embed(figure, "e") for _ in "ab" if (figure := plot_bit_error(analysis)))
    assert first == second
    assert not re.search("#(000000|1b1f24|57606c|ffffff)", first[0])
    assert "var(--quiet)" in first[0]
    assert "tensorflow idiomatic (not verified): " in first[0]
    assert {"guessing, 50 %", "longest trained, 5"} <= {t.strip() for t in re.findall(r"<text[^>]*>([^<]*)", first[0])}


def test_pictures_of_copies_keep_a_pixel_a_bit(mixed_run: Path) -> None:
    sequence = analyse(read_run(mixed_run)).copies[-1]
    (picture,) = embed(plot_copies([sequence]), "copies")
    addresses = re.findall(r'="data:image/png;base64,\s*([^"]+)"', picture)
    sizes = [Image.open(BytesIO(b64decode(address))).size for address in addresses]
    steps = len(sequence.target)
    assert sizes[:3] == [(steps, 10), (steps, 8), (steps, 8)]


def test_black_follows_the_page(run_folder: Callable[..., Path], record: Make) -> None:
    run = read_run(run_folder(record("torch"), *(record(name) for name in ("a", "b", "c", "d"))))
    variants = analyse(run).variants
    colours = {variant.label: css_colour(variant, variants) for variant in variants}
    assert colours["d idiomatic"] == "currentColor"
    assert colours["torch idiomatic"] == "#D55E00"
