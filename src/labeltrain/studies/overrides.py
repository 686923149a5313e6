"""YAML texts, and values set from the command line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from labeltrain.errors import BadInput


def overridden(
    values: dict[str, Any], overrides: Sequence[str], options: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the values of a spec with ``key=value`` texts and dotted options put in."""
    set_already: dict[str, Any] = {}
    for text in overrides:
        key, sign, value = text.partition("=")
        if not sign or not key.strip():
            raise BadInput(f"--set {text!r} is not key=value", "write for example --set rounds=4")
        if key.strip().startswith("strategies."):
            raise BadInput(
                f"--set {text!r}: strategies are a list",
                "give all of them: --set 'strategies=[random, {name: direct, parameters: {rare: "
                "spam}}]'",
            )
        set_already[key.strip()] = read_yaml(value, f"--set {text!r}", "quote the value")
        _put(values, key.strip(), set_already[key.strip()])
    for key, value in options.items():
        if key in set_already and str(set_already[key]) != str(value):
            raise BadInput(
                f"{key} is given twice: as --set {key}={set_already[key]} and as the option "
                f"{key} with {value}",
                "give it once",
            )
        _put(values, key, value)
    return values


def read_yaml(text: str, where: str, remedy: str) -> Any:
    """Read YAML that repeats no key; the YAML library would silently take the last one.

    Numbers such as 1e-3 are numbers; YAML 1.1, which the library reads, takes them for text.

    Raises
    ------
    BadInput
        No YAML, or a key that stands twice in one mapping.
    """
    import re

    import yaml

    class Loader(yaml.SafeLoader):
        def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
            seen: set[Any] = set()
            for key_node, _ in getattr(node, "value", ()):
                key = getattr(key_node, "value", None)
                if not isinstance(key, str) or key == "<<":
                    continue
                if key in seen:
                    line = key_node.start_mark.line + 1
                    raise BadInput(
                        f"{where}, line {line}: the key {key!r} stands twice in one mapping",
                        "keep one of them",
                    )
                seen.add(key)
            return super().construct_mapping(node, deep)

    Loader.add_implicit_resolver(
        "tag:yaml.org,2002:float",
        re.compile(r"^[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d{1,2}$"),
        list("-+.0123456789"),
    )
    try:
        return yaml.load(text, Loader=Loader)
    except BadInput:
        raise
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise BadInput(f"{where} is not YAML: {error}", remedy) from error


def _put(values: dict[str, Any], key: str, value: Any) -> None:
    top = key.split(".")[0]
    listed = values.get("experiments")
    if listed is not None and not isinstance(listed, list):
        raise no_list()
    # What is set for the whole study wins over what a single experiment says.
    own = [e for e in listed or [] if isinstance(e, dict) and top in e]
    for target in (values, *own):
        *parents, last = key.split(".")
        for parent in parents:
            inner = target.setdefault(parent, {})
            if not isinstance(inner, dict):
                raise BadInput(f"{key}: {parent!r} has no keys inside", "set it as a whole")
            target = inner
        target[last] = value


def no_list() -> BadInput:
    """Return the error of experiments that are no list."""
    return BadInput("experiments is not a list of mappings", "write one `- dataset: ...` each")


def read_mapping(path: Path, remedy: str) -> dict[str, Any]:
    """Return the keys and values of a YAML file.

    Raises
    ------
    BadInput
        It cannot be read, or holds something else.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"cannot read {path}: {error}", "give a YAML file") from error
    values = read_yaml(text, str(path), "write a mapping: keys and values")
    if not isinstance(values, dict):
        raise BadInput(f"{path} holds no mapping", remedy)
    return values
