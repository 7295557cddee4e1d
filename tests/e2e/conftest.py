"""Fixtures of the tests against a registry."""

from support.registry_fixture import name, server

__all__ = ["name", "server"]
