"""Reading YAML as people mean it: settings of recipes and of search spaces, without YAML's traps."""

import re
from pathlib import Path
from typing import Any

import yaml

from soundfold.errors import PathError, RecipeError

__all__ = ["UNREADABLE", "parse", "read_settings"]

# beside its own errors PyYAML lets through what Python says to impossible dates, numbers and depths
UNREADABLE = (yaml.YAMLError, ValueError, KeyError, AttributeError, TypeError, RecursionError)


class _Loader(yaml.SafeLoader):
    """YAML without three traps.

    A key that stands twice, of which the first would be lost; aliases that explode; and numbers that YAML 1.1 reads
    as nobody means them: 010 as 8, and 1:30 as 90. These stay text, which a setting takes for 10, or refuses.
    """

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            raise yaml.constructor.ConstructorError(None, None, "aliases are not used here")
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key, _ in node.value:
            if key.value in seen:
                raise yaml.constructor.ConstructorError(None, None, f"'{key.value}' stands twice", key.start_mark)
            seen.add(key.value if isinstance(key.value, str) else id(key))
        return super().construct_mapping(node, deep)


# What is taken for a number here must be one to YAML 1.1 too: by that `save_recipe` decides which texts need quotes.
_NUMBERS = {
    "int": (r"[-+]?(0|[1-9][0-9]*|0x[0-9a-fA-F]+)", "-+0123456789"),
    "float": (r"[-+]?([0-9]+\.[0-9]*([eE][-+][0-9]+)?|\.inf)|\.[0-9]+([eE][-+][0-9]+)?|\.nan", "-+0123456789."),
}
_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in of if tag.rpartition(":")[2] not in _NUMBERS]
    for first, of in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
for _kind, (_pattern, _first) in _NUMBERS.items():
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_kind}", re.compile(rf"({_pattern})\Z"), list(_first))


def parse(text: str) -> Any:
    """Return what a text of YAML holds, in plain values.

    Raises:
        Exception: one of `UNREADABLE`.
    """
    return yaml.load(text, _Loader)


def read_settings(path: Path, what: str, own: list[str], form: str) -> Any:
    """Return what a YAML file holds.

    Args:
        path: the file.
        what: it should hold, for instance `recipe`.
        own: names of those that come with soundfold.
        form: what to write, where it cannot be read.

    Raises:
        PathError: there is no such file, or it cannot be opened.
        RecipeError: it is no YAML.
    """
    names = f"those of soundfold's own: {', '.join(own)}"
    try:
        return parse(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise PathError(f"{path}: there is no such {what} file. Check the path, or name one of {names}") from None
    except OSError as error:
        why = "is a folder" if path.is_dir() else f"cannot be read ({error.strerror})"
        raise PathError(f"{path}: {why}. Name a {what} file, or one of {names}") from None
    except UNREADABLE as error:
        mark = getattr(error, "problem_mark", None)
        line = f" in line {mark.line + 1}" if mark is not None else ""
        told = f" ({error.problem})" if isinstance(error, yaml.MarkedYAMLError) and error.problem else ""
        raise RecipeError(f"{path}: is not readable YAML{line}{told}. {form}") from None
