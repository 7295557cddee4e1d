"""``python -m corten``."""

from corten.cli.main import main

if __name__ == "__main__":
    main()
