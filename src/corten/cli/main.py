"""The entry point of the ``corten`` command."""


def main() -> None:
    """Run the command line."""
