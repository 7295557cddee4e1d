"""The options of ``build`` that say what to make of the result, and where it goes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from corten.cli.frame import echo
from corten.cli.switches import OptionalValue

if TYPE_CHECKING:
    from corten.engine.build import BuildOutcome

_FILE = click.Path(dir_okay=False, path_type=Path)
_FLAGS = (
    click.option(
        "--platform",
        "platforms",
        multiple=True,
        metavar="OS/ARCH,…",
        help="What to build for; of several an index.",
    ),
    click.option(
        "-o",
        "--output",
        "outputs",
        multiple=True,
        metavar="DIR|-|type=…",
        help="Where the result goes: type=image, registry, oci, docker, local or tar.",
    ),
    click.option("--push", is_flag=True, help="Send it to its registry: -o type=registry."),
    click.option("--load", is_flag=True, help="Keep it here, beside other outputs."),
    click.option("--squash", is_flag=True, help="Make one layer of all that the build adds."),
    click.option(
        "--provenance",
        cls=OptionalValue,
        bare="mode=min",
        default="",
        metavar="[mode=min|max]",
        help="Attest how it was made (SLSA v1).",
    ),
    click.option("--sbom", is_flag=True, help="Attest which packages are in it (SPDX)."),
    click.option("--iidfile", type=_FILE, help="Write the image's ID there."),
    click.option("--metadata-file", type=_FILE, help="Write digests and names there, as JSON."),
)


def output_flags(function: Callable[..., Any]) -> Callable[..., Any]:
    """Decorator: these options."""
    for flag in reversed(_FLAGS):
        function = flag(function)
    return function


def all_outputs(flags: dict[str, Any]) -> None:
    """Turn ``--push`` and ``--load`` into the outputs that they are short for."""
    short = {"push": "type=registry", "load": "type=image"}
    flags["outputs"] += tuple(text for name, text in short.items() if flags.pop(name))


def report(
    outcome: BuildOutcome, *, quiet: bool, iidfile: Path | None, metadata_file: Path | None
) -> None:
    """Write the files, and say what was built unless standard output has an output of its own."""
    from corten.errors import Invalid
    from corten.system.durable import write_durably

    image_id = outcome.result.image_id
    texts = {iidfile: str(image_id), metadata_file: json.dumps(outcome.metadata(), indent=2) + "\n"}
    for path, text in texts.items():
        if path is not None:
            try:
                write_durably(path, text.encode())
            except OSError as error:
                raise Invalid(f"cannot write {path}: {error.strerror}") from None
    if outcome.stdout_taken:
        return
    if quiet:
        echo(f"{image_id}\n")
        return
    echo(f"Successfully built {image_id.short}\n")
    for name in outcome.kept_names:
        echo(f"Successfully tagged {name}\n")
