"""JSON Schemas of what is sent and told, made from its types."""

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final, Literal

from pydantic import TypeAdapter

from interface.wire.encoding import Json

_REF: Final = "#/components/schemas/"


Mode = Literal["validation", "serialization"]


def schemas_of(
    sent: Iterable[object], told: Iterable[object]
) -> tuple[Mapping[object, Json], Json]:
    """For each type how to refer to it; and what is referred to, by name."""
    modes: list[tuple[Any, Mode]] = [(each, "validation") for each in dict.fromkeys(sent)]
    modes += [(each, "serialization") for each in dict.fromkeys(told)]
    adapters: list[tuple[int, Mode, TypeAdapter[Any]]] = [
        (number, mode, TypeAdapter(each)) for number, (each, mode) in enumerate(modes)
    ]
    made, whole = TypeAdapter.json_schemas(adapters, ref_template=_REF + "{model}")
    references = {each: _cleaned(made[number, mode]) for number, (each, mode) in enumerate(modes)}
    named = {_public(name): _cleaned(each) for name, each in whole["$defs"].items()}
    assert len(named) == len(whole["$defs"]), "two types have the same name, but for `Json`"
    return references, dict(sorted(named.items()))


def _public(name: str) -> str:
    """Without what only the code needs to tell: `PageJson_SessionJson_` is a SessionPage."""
    page = re.fullmatch(r"PageJson_(\w+)Json_", name)
    return f"{page[1]}Page" if page else name.removesuffix("Json")


def _cleaned(schema: Any) -> Any:
    """Without titles, which say once more how a field is called; and where null is the default,
    without that: to be absent may mean something else."""
    match schema:
        case {"$ref": str(reference), **rest}:
            return {"$ref": _REF + _public(reference.removeprefix(_REF)), **rest}
        case dict():
            return {
                key: _cleaned(value)
                for key, value in schema.items()
                if not (key == "title" and isinstance(value, str))
                if not (key == "default" and value is None)
            }
        case list():
            return [_cleaned(each) for each in schema]
    return schema
