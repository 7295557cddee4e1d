"""What urllib3 and the operating system say of a failed exchange, as one line with a hint."""

from __future__ import annotations

import ssl

from corten.errors import CortenError, Denied, Invalid, Unavailable


class Disconnected(Unavailable):
    """The other side closed the connection before all was said."""


def explain(
    error: BaseException, host: str, insecure: bool, before: BaseException | None = None
) -> CortenError:
    """The error of corten that stands for `error`, met on the way to `host`.

    A :class:`CortenError` that travelled through urllib3 (from a request's body) comes out as it
    is; what was being handled `before` the exchange (`sys.exception`) is none of it.
    """
    from urllib3 import exceptions

    chain = _chain(error, before)
    for link in chain:
        if isinstance(link, CortenError):
            return link
    for link in chain:
        if isinstance(link, ssl.SSLCertVerificationError):
            return Denied(
                f"{host}: its certificate is not trusted: {link.verify_message}",
                hint="add its authority to the system's certificates or name it in SSL_CERT_FILE",
            )
    for link in chain:
        if isinstance(link, exceptions.NameResolutionError):
            return Unavailable(
                f"{host} is not known: its name does not resolve",
                hint="check the spelling and the name server",
            )
    if isinstance(error, exceptions.ProxyError):
        return Unavailable(
            f"{host}: the proxy does not answer: {_reason(chain)}",
            hint="check http_proxy, https_proxy and no_proxy",
        )
    if any(isinstance(link, ssl.SSLError) for link in chain):
        return Unavailable(
            f"{host} does not speak TLS as it should: {_reason(chain)}",
            hint="" if insecure else "if it is meant to be plain http, say so: --insecure",
        )
    if any(isinstance(link, ConnectionRefusedError) for link in chain):
        return Unavailable(
            f"{host} does not answer: connection refused",
            hint="is a registry running there, on this port?",
        )
    if any(isinstance(link, exceptions.ConnectTimeoutError) for link in chain):
        return Unavailable(f"{host} does not answer: no connection in time")
    if any(isinstance(link, exceptions.ReadTimeoutError | TimeoutError) for link in chain):
        return Unavailable(f"{host} does not answer any more")
    if isinstance(error, exceptions.LocationValueError | exceptions.InvalidHeader | ValueError):
        return Invalid(f"{host}: cannot be asked: {error}")
    if any(isinstance(link, exceptions.IncompleteRead) for link in chain):
        return Disconnected(f"{host} closed the connection too early")
    return Disconnected(f"{host} broke off: {_reason(chain)}")


def _chain(error: BaseException, before: BaseException | None) -> list[BaseException]:
    found: list[BaseException] = []
    pending: list[BaseException | None] = [error]
    while pending:
        link = pending.pop(0)
        if link is None or link is before or link in found or len(found) > 20:
            continue
        found.append(link)
        inner = [argument for argument in link.args if isinstance(argument, BaseException)]
        pending += [link.__cause__, link.__context__, getattr(link, "reason", None), *inner]
        pending = [item for item in pending if isinstance(item, BaseException)]
    return found


def _reason(chain: list[BaseException]) -> str:
    """The innermost words: urllib3 wraps its own around them."""
    for link in reversed(chain):
        text = str(link.args[-1] if link.args else link) if isinstance(link, OSError) else str(link)
        if text and "object at 0x" not in text:
            return text[:200]
    return type(chain[0]).__name__
