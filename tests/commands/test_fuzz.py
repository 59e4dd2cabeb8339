"""Whatever a configuration, a record or a run.json holds: there is a result or one clear line, never a traceback."""

from __future__ import annotations

import copy
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from backends import BACKENDS
from harness.cli import main
from harness.commands.check import check
from harness.commands.check.folder import find_faults
from harness.records.folder import RunFolder, read_description
from harness.records.identity import PlannedCell
from harness.records.reading import read_run
from harness.records.schema import SCHEMA_VERSION, seal
from harness.records.structs import Making
from harness.report import analyse_folder, markdown
from harness.report.content import make_content
from harness.report.tables import make_tables
from harness.report.write import write_report
from harness.task.presets import ConfigurationError, convert, load_preset
from harness.task.recipe import RunConfig
from tests.command import SMALL, harness, invoke

CELL = PlannedCell(BACKENDS["reference"], "idiomatic", "float32", 0, 0)

once_a_module = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)

NUMBERS = st.one_of(
    st.integers(-3, 60),
    st.sampled_from([2**31, 2**63, 2**64, 10**30, -(10**30)]),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from([1e308, -1e308, 5e-324, 0.0, -0.0, 0.5]),
)
TEXTS = st.one_of(
    st.text(max_size=12),
    st.sampled_from(["../../x", "/etc/passwd", "<script>x</script>", "a|b\n# c", "\x1b[2J", "ok", "failed", "cpu", ""]),
)
JSON = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=8,
)


def change_somewhere(draw: Any, content: Any) -> Any:
    """A copy of JSON content with one value, at any depth, taken away, doubled or replaced by anything."""
    changed = copy.deepcopy(content)
    place = changed
    while True:
        keys = list(place) if isinstance(place, dict) else list(range(len(place)))
        key = draw(st.sampled_from(keys))
        inside = place[key]
        if isinstance(inside, dict | list) and inside and draw(st.integers(0, 3)):
            place = inside
            continue
        action = draw(st.sampled_from(["replace", "remove", "rename"]))
        if action == "replace":
            place[key] = draw(JSON)
        elif action == "remove":
            del place[key]
        elif isinstance(place, dict):
            place[draw(TEXTS)] = place.pop(key)
        else:
            place.append(inside)
        return changed


def assert_one_line(error: Exception) -> None:
    assert str(error)
    assert len(str(error).splitlines()) == 1


# --- Configurations -----------------------------------------------------------------------------------------------


@given(st.data())
def test_any_configuration_is_one_or_is_refused_in_one_line(data: st.DataObject) -> None:
    sections = json.loads(json.dumps(RunConfig().to_dict()))
    for _ in range(data.draw(st.integers(1, 3))):
        sections = change_somewhere(data.draw, sections)
        if not sections:
            break
    try:
        config = convert(sections)
    except ConfigurationError as error:
        assert_one_line(error)
    else:
        assert convert(json.loads(json.dumps(config.to_dict()))) == config
        assert config.evaluate.lengths(config.task) if config.task.max_length < 1000 else True


@given(st.text(max_size=60), st.lists(st.text(max_size=30), max_size=3))
def test_any_file_and_any_override_are_a_configuration_or_one_line(
    tmp_path_factory: pytest.TempPathFactory, text: str, overrides: list[str]
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.toml"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    for preset in (str(path), "quick", text):
        try:
            assert isinstance(load_preset(preset, overrides), RunConfig)
        except ConfigurationError as error:
            assert str(error)


@given(
    st.lists(st.sampled_from(["run", "report", "check", "--resume", "--set", "--seeds", "--out"]) | st.text(max_size=8))
)
@example(["--resume", "a\0b"])
@settings(max_examples=30)
def test_any_arguments_end_without_a_traceback(arguments: list[str]) -> None:
    # Never a run that would begin: --threads is more than there are.
    result = invoke("run", "--threads", "9999", *arguments)
    assert result.exit_code in (0, 2)
    assert result.exception is None or isinstance(result.exception, SystemExit)


# --- Records and reports ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def good_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "good"
    harness("run", "--backend", "reference,no_such.backend", *SMALL, "--out", folder)
    assert (folder / "report.html").exists()
    sample = {"after": None, "backend": "torch", "way": "torch.mm", "precision": "float32", "device": "cpu"}
    sample |= {"m": 4, "k": 3, "n": 12, "seconds": 1e-6, "calls": 50}
    (folder / "ceiling.json").write_text(json.dumps({"schema_version": SCHEMA_VERSION, "samples": [sample]}))
    write_report(folder)
    return folder


@pytest.fixture(scope="module")
def folder(good_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(shutil.copytree(good_run, tmp_path_factory.mktemp("runs") / "copy"))


def render(folder: Path) -> None:
    """All of a report but its plots, which are slow."""
    analysis = analyse_folder(folder)
    markdown.render(make_content(analysis, make_tables(analysis), []))


def hold(folder: Path) -> None:
    """Report and check a folder that holds anything."""
    try:
        render(folder)
    except ValueError as error:
        assert_one_line(error)
    for fault in find_faults(folder).faults:
        assert len(str(fault).splitlines()) == 1
    try:
        read_description(folder)
    except ConfigurationError as error:
        assert str(error)


@once_a_module
@given(st.data())
def test_any_record_is_reported_checked_and_not_taken_for_complete(
    good_run: Path, folder: Path, data: st.DataObject
) -> None:
    file = f"cells/{CELL.name}.json"
    record = json.loads((good_run / file).read_text())
    changed = change_somewhere(data.draw, record)
    (folder / file).write_text(json.dumps(seal(changed)))
    hold(folder)
    config = read_description(good_run).configuration
    made_with = Making(record["provenance"]["versions"], record["provenance"]["cpu"])
    lock = None
    assert isinstance(RunFolder(folder, lock).reason_to_train(CELL, config, made_with), str | None)  # type: ignore[arg-type]


@once_a_module
@given(st.data())
def test_any_run_json_is_reported_and_checked(good_run: Path, folder: Path, data: st.DataObject) -> None:
    run = json.loads((good_run / "run.json").read_text())
    (folder / "run.json").write_text(json.dumps(change_somewhere(data.draw, run)))
    try:
        hold(folder)
    finally:
        shutil.copy(good_run / "run.json", folder / "run.json")


@once_a_module
@given(
    st.binary(max_size=300),
    st.sampled_from(["run.json", "ceiling.json", f"cells/{CELL.name}.json", "tables/summary.csv"]),
)
def test_any_bytes_for_a_file_are_reported_and_checked(good_run: Path, folder: Path, content: bytes, file: str) -> None:
    (folder / file).write_bytes(content)
    try:
        hold(folder)
    finally:
        shutil.copy(good_run / file, folder / file)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=8)
@given(st.data())
def test_any_record_is_plotted_or_refused(good_run: Path, folder: Path, data: st.DataObject) -> None:
    file = f"cells/{CELL.name}.json"
    (folder / file).write_text(json.dumps(change_somewhere(data.draw, json.loads((good_run / file).read_text()))))
    try:
        write_report(folder)
    except ValueError as error:
        assert_one_line(error)


@pytest.mark.parametrize("version", [0, SCHEMA_VERSION + 1, "1", None, [], 1e300])
def test_a_version_that_is_not_known_is_named(version: Any, good_run: Path, tmp_path: Path, capsys: Any) -> None:
    copied = shutil.copytree(good_run, tmp_path / "copy")
    run = json.loads((copied / "run.json").read_text())
    (copied / "run.json").write_text(json.dumps({**run, "schema_version": version}))
    assert check(copied) == 1
    assert f"schema_version: it is {version!r}; version {SCHEMA_VERSION} can be checked" in capsys.readouterr().out
    with pytest.raises(ValueError, match="schema"):
        read_run(copied)


# --- Environment variables -----------------------------------------------------------------------------------------

NAMES = (
    "COLUMNS LINES TERM FORCE_COLOR NO_COLOR HOME LANG LC_ALL TZ TMPDIR XDG_CACHE_HOME PYTHONPATH"
    " CUDA_VISIBLE_DEVICES OMP_NUM_THREADS OMP_PLACES JAX_ENABLE_X64 GIT_DIR no_proxy XLA_FLAGS"
)
VARIABLES = st.dictionaries(
    st.sampled_from(NAMES.split()),
    st.sampled_from(["", "0", "-1", "1", "20", "400", "dumb", "²", "/nowhere", "tr_TR.UTF-8", "x,y", "\udcff"])
    | st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=8),
)


@given(
    st.sampled_from([["check"], ["export", "--format", "pyperf"], ["compare"], ["env"], ["env", "--json"]]), VARIABLES
)
@settings(max_examples=settings.default.max_examples // 4)  # type: ignore[union-attr]
def test_any_environment_ends_without_a_traceback(good_run: Path, given: list[str], variables: dict[str, str]) -> None:
    folders = {"check": [good_run], "export": [good_run], "compare": [good_run, good_run]}.get(given[0], [])
    with pytest.MonkeyPatch.context() as patch:
        for name, value in variables.items():
            patch.setenv(name, value)
        result = CliRunner().invoke(main, [*given, *map(str, folders)])
    assert result.exit_code in (0, 1, 2)
    assert result.exception is None or isinstance(result.exception, SystemExit)
    if given == ["env", "--json"]:
        assert json.loads(result.stdout)["python"]
