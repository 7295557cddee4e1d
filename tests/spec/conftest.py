"""Fixtures of the tests of specifications."""

from support.registry_fixture import name, server

__all__ = ["name", "server"]
