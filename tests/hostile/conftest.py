"""Fixtures of the tests of attacks."""

from support.registry_fixture import name, server

__all__ = ["name", "server"]
