"""What ``--output`` says: one value an output.  Spec: docker buildx build, "--output"."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import msgspec

from corten.dockerfile.errors import did_you_mean
from corten.dockerfile.given_options import split_options
from corten.errors import Invalid
from corten.oci.reference import Reference

Kind = Literal["image", "oci", "docker", "local", "tar"]
STDOUT = "-"
_OPTIONS: Mapping[str, Sequence[str]] = {
    "image": ("name", "push", "registry.insecure", "rewrite-timestamp"),
    "registry": ("name", "registry.insecure", "rewrite-timestamp"),
    "oci": ("dest", "name", "tar", "rewrite-timestamp"),
    "docker": ("dest", "name", "rewrite-timestamp"),
    "local": ("dest", "platform-split"),
    "tar": ("dest", "platform-split"),
}
_SILENT = {"oci-mediatypes": "true", "oci-artifact": "true", "compression": "gzip"}
"""Options of BuildKit's, with the value that is what is done here anyway."""
_NAMES_DEST = {"oci": "FILE", "local": "DIR", "tar": "FILE"}


class Output(msgspec.Struct, frozen=True, kw_only=True):
    """One output of a build.

    ``dest`` is a file, a directory, or ``-`` for standard output; ``names`` are full ones.
    ``layout``: a directory instead of a tar.  ``split``: a directory for each platform;
    None: if there are several.  ``rewrite_times``: no file is newer than SOURCE_DATE_EPOCH
    (of all outputs together, since they are of one image).
    """

    type: Kind
    dest: str = ""
    names: tuple[str, ...] = ()
    push: bool = False
    layout: bool = False
    split: bool | None = None
    insecure: bool = False
    rewrite_times: bool = False

    @property
    def keeps(self) -> bool:
        """Whether the image is to be in the local store afterwards."""
        return self.type == "image"


def parse_output(text: str) -> Output:
    """The output that one ``--output`` asks for; ``DIR`` and ``-`` are short for local and tar.

    Raises: Invalid.
    """
    parts = split_options(text, "--output")
    if len(parts) == 1 and "=" not in parts[0]:
        if parts[0] == STDOUT:
            return Output(type="tar", dest=STDOUT)
        return Output(type="local", dest=parts[0])
    options = _options(text, parts)
    kind = options.pop("type")
    dest = options.get("dest", "")
    if not dest and kind in _NAMES_DEST:
        raise Invalid(
            f"--output {text} does not say where to", hint=f"add dest={_NAMES_DEST[kind]}"
        )
    if kind == "local" and dest == STDOUT:
        raise Invalid("--output type=local cannot go to standard output", hint="type=tar can")
    layout = not _flag(options, "tar", True)
    if layout and dest == STDOUT:
        raise Invalid(
            "a layout is a directory, which standard output is not", hint="omit tar=false"
        )
    if kind == "registry":
        kind, options["push"] = "image", "true"
    if kind == "docker" and not dest:
        kind = "image"  # into the local store, as `docker load` would bring it
    return Output(
        type=kind,  # type: ignore[arg-type]
        dest=dest,
        names=_names(options.get("name", "")),
        push=_flag(options, "push", False),
        layout=layout,
        split=_flag(options, "platform-split", True) if "platform-split" in options else None,
        insecure=_flag(options, "registry.insecure", False),
        rewrite_times=_flag(options, "rewrite-timestamp", False),
    )


def _options(text: str, parts: Sequence[str]) -> dict[str, str]:
    options: dict[str, str] = {}
    for part in parts:
        name, equals, value = part.partition("=")
        if not equals:
            raise Invalid(f"--output: {part!r} has no value", hint="--output type=TYPE,dest=PLACE")
        options[name.strip().lower()] = value
    kind = options.get("type", "")
    if not kind:
        raise Invalid(f"--output {text} has no type", hint=f"type={'|'.join(_OPTIONS)}")
    if kind not in _OPTIONS:
        raise Invalid(f"--output knows no type {kind!r}", hint=did_you_mean(kind, _OPTIONS))
    for name, value in list(options.items()):
        if _SILENT.get(name) == value:
            del options[name]
        elif name not in ("type", *_OPTIONS[kind]):
            raise Invalid(
                f"--output type={kind} has no option {name!r}",
                hint=did_you_mean(name, _OPTIONS[kind]),
            )
    return options


def _flag(options: Mapping[str, str], name: str, default: bool) -> bool:
    value = options.get(name)
    if value is None:
        return default
    if value not in ("true", "false"):
        raise Invalid(f"--output: {name} is true or false, not {value!r}")
    return value == "true"


def _names(text: str) -> tuple[str, ...]:
    names = []
    for part in filter(None, (part.strip() for part in text.split(","))):
        reference = Reference.parse(part)
        if reference.digest is not None:
            raise Invalid(f"{part!r} cannot be a new image's name: it has a digest")
        names.append(str(reference))
    return tuple(names)


def check_outputs(outputs: Sequence[Output], tags: Sequence[str]) -> None:
    """Raises: Invalid: a push without a name, or several outputs to one place."""
    places: set[str] = set()
    for output in outputs:
        if output.push and not (output.names or tags):
            raise Invalid(
                "there is no name to push the image under", hint="-t HOST/NAME:TAG, or name="
            )
        if output.dest and output.dest in places:
            raise Invalid(f"two outputs go to {output.dest}")
        places.add(output.dest)
