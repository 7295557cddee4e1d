"""corten: container images from end to end, as a tool and as a library."""

__version__ = "0.1.0"
