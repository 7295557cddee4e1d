"""JSON schemas of the specifications, read from where they lie beside the project."""

import json
from pathlib import Path
from typing import Any

import pytest

SPECS = Path(__file__).parents[3] / "shared" / "specs"


def validate(document: Any, folder: str, name: str) -> None:
    """Check `document` against ``FOLDER/schema/NAME``; skips where the specs are not at hand."""
    import jsonschema
    import referencing
    import referencing.jsonschema

    schemas = SPECS / folder / "schema"
    if not schemas.is_dir():
        pytest.skip("shared/specs is not beside the project")

    def retrieve(uri: str) -> referencing.Resource[Any]:
        # References are relative to ids that are web addresses; only the file name matters.
        contents = json.loads((schemas / uri.rpartition("/")[2]).read_text())
        return referencing.Resource.from_contents(
            contents, default_specification=referencing.jsonschema.DRAFT4
        )

    registry: Any = referencing.Registry(retrieve=retrieve)  # type: ignore[call-arg]
    schema = json.loads((schemas / name).read_text())
    jsonschema.Draft4Validator(schema, registry=registry).validate(document)
