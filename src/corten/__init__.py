"""corten: container images from end to end, as a tool and as a library.

The names below are the public API; each is imported when it is first used, so that
``import corten`` costs next to nothing.  Everything acts on a :class:`Host`::

    import corten

    with corten.Host.open("/srv/images") as host:
        corten.bootstrap(host, corten.BootstrapOptions(name="debian:bookworm"), corten.Job())
        corten.build(host, corten.BuildOptions(context=Path("app"), tags=("app",)), corten.Job())
        corten.push(host, "registry.example/app", corten.Job())
"""

from typing import Any

__version__ = "0.1.0"

_PUBLIC = {
    "BootstrapOptions": "corten.engine.bootstrap",
    "BuildOptions": "corten.engine.build",
    "ContainerOptions": "corten.engine.creation",
    "CortenError": "corten.errors",
    "Descriptor": "corten.oci.descriptor",
    "Digest": "corten.oci.digest",
    "Host": "corten.engine.host",
    "Job": "corten.events.job",
    "Platform": "corten.oci.platform",
    "Reference": "corten.oci.reference",
    "Settings": "corten.config.settings",
    "bootstrap": "corten.engine.bootstrap",
    "build": "corten.engine.build",
    "check": "corten.engine.checking.check",
    "copy": "corten.engine.archives",
    "inspect": "corten.engine.images",
    "load": "corten.engine.archives",
    "pull": "corten.engine.transfer",
    "push": "corten.engine.transfer",
    "run": "corten.engine.containers",
    "save": "corten.engine.archives",
    "tag": "corten.engine.images",
}

__all__ = ["__version__", *_PUBLIC]  # noqa: PLE0604 - strings all the same


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'corten' has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(_PUBLIC[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
