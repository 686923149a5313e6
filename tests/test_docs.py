"""The examples of the docs and docstrings run, and every public thing is documented."""

from __future__ import annotations

import doctest
import importlib
import inspect
import pkgutil
import re
from pathlib import Path

import pytest

import labeltrain

ROOT = Path(__file__).parents[1]
PAGES = [p for p in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))] if p.exists()]
MODULES = sorted(
    m.name
    for m in pkgutil.walk_packages(labeltrain.__path__, "labeltrain.")
    if "__main__" not in m.name
)


def blocks(page: Path) -> str:
    return "\n".join(re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.S))


@pytest.mark.parametrize("page", [p for p in PAGES if blocks(p)], ids=lambda p: p.name)
def test_examples_of_a_page_run(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {"__name__": "labeltrain_docs"}
    exec(compile(blocks(page), str(page), "exec"), names)
    for suite in [v for k, v in names.items() if k.startswith("Test") and inspect.isclass(v)]:
        for name, check in inspect.getmembers(suite, inspect.isfunction):
            if name.startswith("test_"):
                check(suite())


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_links_of_a_page_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text(encoding="utf-8")):
        if not target.startswith(("http:", "https:", "mailto:")):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


@pytest.mark.parametrize("name", MODULES)
def test_doctests_run(name: str) -> None:
    module = importlib.import_module(name)
    assert module.__doc__, f"{name} has no docstring"
    assert doctest.testmod(module, optionflags=doctest.ELLIPSIS).failed == 0


def public() -> list[tuple[str, object]]:
    found = {}
    for name in MODULES:
        if name.startswith("labeltrain.cli"):
            continue  # its docstrings are the help texts
        module = importlib.import_module(name)
        for title, thing in vars(module).items():
            mine = getattr(thing, "__module__", "") == name
            if mine and not title.startswith("_") and (inspect.isclass(thing) or callable(thing)):
                found[f"{name}.{title}"] = thing
    return sorted(found.items())


# numpydoc's own names: no docstring, unknown sections, sections in the wrong order, no summary,
# unknown parameters, no colon before a type.
ERRORS = {"GL06", "GL07", "GL08", "SS01", "PR02", "PR10"}


@pytest.mark.parametrize(("name", "thing"), public(), ids=lambda v: v if isinstance(v, str) else "")
def test_public_things_have_numpydoc_docstrings(name: str, thing: object) -> None:
    from numpydoc.validate import validate

    problems = [e for e in validate(name)["errors"] if e[0] in ERRORS]
    assert not problems, problems


def test_torchvision_is_absent() -> None:
    # With the CPU build of torch it breaks peft and sentence-transformers.
    assert importlib.util.find_spec("torchvision") is None


def test_nothing_unpickles() -> None:
    pattern = re.compile(r"pickle\.loads?\(|allow_pickle=True|joblib\.load|trust_remote_code=True")
    for path in (ROOT / "src").rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        assert not pattern.search(text), path
        for call in re.findall(r"(?<!safetensors\.)torch\.load\([^)]*\)", text):
            assert "weights_only=True" in call, path


def test_the_page_on_studies_lists_every_key() -> None:
    from labeltrain.studies.spec import ExperimentSpec, StudySpec

    text = (ROOT / "docs" / "studies.md").read_text(encoding="utf-8")
    for model in (StudySpec, ExperimentSpec):
        for key, field in model.model_fields.items():
            assert f"| `{key}` | {field.description or ''}" in text, key
