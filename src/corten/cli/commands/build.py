"""``corten build``."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Any

import click

from corten.cli.context_flags import context_flags
from corten.cli.frame import command as define
from corten.cli.frame import host, reporting
from corten.cli.lint_report import check_flags, run_check
from corten.cli.output_flags import all_outputs, output_flags, report
from corten.cli.params import ContextFolder, pairs
from corten.cli.step_flags import debugging, step_flags, step_options


@define(
    "build",
    examples="""
corten build -t example/hello .
corten build -f docker/Dockerfile.dev --target test --build-arg VERSION=1.2 .
corten build --no-cache --pull -t example/hello:v2 .
corten build - < Dockerfile                               without files
tar -c . | corten build -                                 a context from elsewhere
corten build https://git.example/user/app.git#v2:docker   and from a Git repository
corten build -o out --target binaries .                   files, no image
corten build --platform linux/amd64,linux/arm64 --push -t registry.example/app:2 .
id=$(corten build -q .)
corten build --check --fix .                              what could be better; nothing is built
""",
)
@click.argument("context", metavar="CONTEXT", type=ContextFolder())
@click.option(
    "-t",
    "--tag",
    "tags",
    multiple=True,
    metavar="NAME[:TAG]",
    help="Name the image; may be given more than once.",
)
@click.option(
    "-f",
    "--file",
    "dockerfile",
    type=click.Path(),
    default="",
    metavar="FILE",
    help="The Dockerfile; - is standard input, and a URL fetches it.  [default: in the context]",
)
@click.option("--target", default="", metavar="STAGE", help="Build up to this stage.")
@click.option(
    "--build-arg",
    "build_args",
    multiple=True,
    metavar="NAME[=VALUE]",
    help="Set an ARG; without VALUE as here.",
)
@click.option("--label", "labels", multiple=True, metavar="NAME=VALUE", help="Add a label.")
@click.option(
    "--cache-from",
    multiple=True,
    metavar="PLACE",
    help="Take results from a cache: NAME, type=registry,ref=NAME or type=local,src=DIR.",
)
@click.option(
    "--cache-to",
    multiple=True,
    metavar="PLACE",
    help="Write the cache: type=registry,ref=NAME[,mode=max], type=local,dest=DIR or type=inline.",
)
@click.option(
    "--locked", is_flag=True, help="Build on what the lock file beside the Dockerfile names."
)
@context_flags
@click.option(
    "--network",
    type=click.Choice(["host", "none", "default"]),
    default="host",
    show_default=True,
    help="What RUN may reach; default means host.",
)
@click.option(
    "-q", "--quiet", is_flag=True, help="Print the image's ID; of a step that fails, its output."
)
@click.option(
    "--call",
    type=click.Choice(["build", "check"]),
    default="build",
    hidden=True,
    help="As buildx calls --check.",
)
# What docker's scripts say of intermediate containers and of sending the context: there are none.
@click.option("--rm", is_flag=True, hidden=True, expose_value=False)
@click.option("--force-rm", is_flag=True, hidden=True, expose_value=False)
@click.option("--compress", is_flag=True, hidden=True, expose_value=False)
@step_flags
@check_flags
@output_flags
def command(quiet: bool, iidfile: Path | None, metadata_file: Path | None, **flags: Any) -> int:
    """Build an image from a Dockerfile.

    CONTEXT has the files that COPY and ADD may take, without those that its .dockerignore
    names: a directory, the URL of a tar, or a Git repository (URL#REF:DIR).  If it is -,
    standard input is a tar, or a Dockerfile that needs no files.

    Stages that do not need each other are built at the same time; what did not change since
    an earlier build is taken from the cache.

    Without --output the image is kept here.  With it, it is kept only where one of the outputs
    says so (type=image); type=local and type=tar give the files of the target stage.

    Progress goes to standard error, the result to standard output.  With --progress=json the
    last event's detail is the image's ID.
    """
    from corten.engine.build import BuildOptions, build

    flags["build_args"] = arguments(flags["build_args"])
    all_outputs(flags)
    flags["labels"] = dict(pairs(flags["labels"], "--label"))
    steps = step_options(flags)
    with debugging(steps.debug), ExitStack() as stack:
        checking, mending = flags.pop("check"), flags.pop("fix")
        if flags.pop("call") == "check" or checking or mending:
            return run_check(flags, mending)
        options = BuildOptions(**flags, steps=steps)
        outcome = build(host(), options, stack.enter_context(reporting(quiet)))
    report(outcome, quiet=quiet, iidfile=iidfile, metadata_file=metadata_file)
    return 0


def arguments(given: tuple[str, ...]) -> dict[str, str]:
    """``NAME=VALUE``; a lone NAME takes the value it has here, if it has one."""
    import os

    values = {}
    for text in given:
        for name, value in pairs((text,), "--build-arg"):
            if "=" in text:
                values[name] = value
            elif name in os.environ:
                values[name] = os.environ[name]
    return values
