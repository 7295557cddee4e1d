"""``name=value,…`` as flags have it: a row of CSV."""

from __future__ import annotations

import csv

from corten.errors import Invalid


def split_options(text: str, flag: str) -> list[str]:
    """The parts between the commas; one that has a comma is quoted as in CSV.

    `flag` is for the message.  Raises: Invalid: it is no row of CSV, or too long.
    """
    try:
        return next(csv.reader([text], strict=True), [])
    except csv.Error as error:
        raise Invalid(f"{flag}: {error}", hint="quote a value with commas as in CSV") from None
