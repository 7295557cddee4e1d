"""``corten version``."""

from __future__ import annotations

import click

from corten.cli.frame import command as define
from corten.cli.frame import echo


@define("version", examples="corten version --format '{{.Version}}'")
@click.option("-f", "--format", "form", metavar="TEMPLATE", help="json, or a template.")
def command(form: str | None) -> None:
    """Print the versions of corten and of what it uses."""
    import platform
    from importlib.metadata import PackageNotFoundError, version

    from corten import __version__

    values = {
        "Version": __version__,
        "Python": platform.python_version(),
        "Kernel": platform.release(),
        "Architecture": platform.machine(),
    }
    for package in ("click", "isal", "msgspec", "urllib3", "zstandard", "starlette", "uvicorn"):
        try:
            values[package] = version(package)
        except PackageNotFoundError:
            values[package] = "not installed"
    if form:
        from corten.cli.templates import render_rows

        echo(render_rows(form, [values], {}))
        return
    width = max(map(len, values)) + 2
    echo([f"{name + ':':<{width}}{value}" for name, value in values.items()])
