"""From text to typed instructions and stages."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import TypedDict

from corten.dockerfile import instructions as kinds
from corten.dockerfile.errors import DockerfileError, did_you_mean
from corten.dockerfile.flags import all_of, flags_of, switch_of
from corten.dockerfile.healthcheck import parse_healthcheck
from corten.dockerfile.instructions import Command, Dockerfile, Instruction, Stage
from corten.dockerfile.lexer import lex
from corten.dockerfile.mounts import MountFlag, parse_mount
from corten.dockerfile.syntax import Node
from corten.dockerfile.syntax import node as divide
from corten.errors import Invalid

_STAGE_NAME = re.compile(r"[a-z][a-z0-9_.-]*", re.ASCII)
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)


def parse_nodes(text: str) -> tuple[Node, ...]:
    """The instructions of `text` as written.  Raises: DockerfileError: none, or a malformed one."""
    lexed = lex(text)
    if not lexed.lines:
        raise DockerfileError("it has no instructions", hint="begin with FROM IMAGE")
    return tuple(divide(line, lexed.escape) for line in lexed.lines)


def parse(text: str, file: str = "Dockerfile") -> Dockerfile:
    """Parse a whole Dockerfile; `file` is its name in messages.

    Raises: DockerfileError.
    """
    try:
        nodes = parse_nodes(text)
        lexed = lex(text)
        arguments: list[kinds.Arg] = []
        stages: list[tuple[kinds.From, list[Instruction]]] = []
        for item in nodes:
            one = typed(item)
            if isinstance(one, kinds.From):
                stages.append((one, []))
            elif stages:
                stages[-1][1].append(one)
            elif isinstance(one, kinds.Arg):
                arguments.append(one)
            else:
                raise item.error(
                    f"{item.keyword} stands before the first FROM",
                    item.text.split()[0],
                    "only ARG may stand there",
                )
        if not stages:
            raise DockerfileError("it has no FROM", hint="begin with FROM IMAGE")
    except DockerfileError as error:
        raise error.located(file) from None
    return Dockerfile(
        lexed.directives,
        tuple(arguments),
        tuple(Stage(i, head, tuple(body)) for i, (head, body) in enumerate(stages)),
        lexed.escape,
        file,
    )


def parse_trigger(text: str) -> Instruction:
    """An ONBUILD trigger's instruction, from an image's configuration.

    Raises: DockerfileError: also for FROM, MAINTAINER and ONBUILD, which are no triggers.
    """
    items = parse_nodes(text)
    if len(items) != 1:
        raise DockerfileError(f"ONBUILD trigger {text[:60]!r} is not one instruction")
    _check_trigger(items[0], items[0].keyword)
    return typed(items[0])


def typed(node: Node) -> Instruction:
    """The instruction that `node` stands for.  Raises: DockerfileError."""
    return _MAKERS[node.keyword](node)


def _need(node: Node, hint: str, *, exactly: int = 0) -> tuple[str, ...]:
    if not node.args or (exactly and len(node.args) != exactly):
        count = "one argument" if exactly == 1 else "at least one argument"
        raise node.error(f"{node.keyword} needs {count}", hint=hint)
    return node.args


def _command(node: Node) -> Command:
    return Command(node.args, not node.json, node.heredocs)


def _from(node: Node) -> Instruction:
    flags = flags_of(node, ("platform",))
    args = node.args
    if len(args) == 3 and args[1].upper() == "AS":
        name = args[2].lower()
        if not _STAGE_NAME.fullmatch(name):
            raise node.error(
                f"invalid stage name {args[2]!r}",
                args[2],
                "a letter, then letters, digits, and . _ -",
            )
    elif len(args) == 1:
        name = ""
    else:
        raise node.error("FROM takes an image and, after AS, a name", hint="FROM IMAGE [AS NAME]")
    return kinds.From(node=node, image=args[0], name=name, platform=flags.get("platform", ""))


def _run(node: Node) -> Instruction:
    flags = flags_of(node, ("mount", "network", "security", "device"))
    if not node.args and not node.heredocs:
        raise node.error("RUN needs a command", hint="RUN COMMAND")
    network = flags.get("network", "default")
    if network not in ("default", "none", "host"):
        raise node.error(
            f"unknown network {network!r}", network, did_you_mean(network, ("none", "host"))
        )
    security = flags.get("security", "sandbox")
    if security not in ("sandbox", "insecure"):
        raise node.error(
            f"unknown security mode {security!r}",
            security,
            did_you_mean(security, ("sandbox", "insecure")),
        )
    return kinds.Run(
        node=node,
        command=_command(node),
        network=network,
        security=security,
        mounts=tuple(_mount(node, text) for text in all_of(node, "mount")),
        devices=all_of(node, "device"),
    )


def _mount(node: Node, text: str) -> MountFlag:
    try:
        mount = parse_mount(text)
    except Invalid as error:
        raise node.error(error.message, text, error.hint) from None
    if "$" in mount.origin:
        raise node.error(
            "RUN --mount: from takes a stage's or image's name as it is, without variables",
            mount.origin,
            "give the image a stage of its own: FROM $IMAGE AS NAME",
        )
    return mount


def _cmd(node: Node) -> Instruction:
    flags_of(node)
    return kinds.Cmd(node=node, command=_command(node))


def _entrypoint(node: Node) -> Instruction:
    flags_of(node)
    if not node.args and not node.json:
        raise node.error("ENTRYPOINT needs a command", hint='ENTRYPOINT ["PROGRAM", "ARGUMENT"]')
    return kinds.Entrypoint(node=node, command=_command(node))


def _shell(node: Node) -> Instruction:
    flags_of(node)
    if not node.json or not node.args:
        raise node.error("SHELL takes a JSON array", hint='SHELL ["/bin/sh", "-c"]')
    return kinds.Shell(node=node, args=node.args)


def _pairs(node: Node) -> tuple[tuple[str, str], ...]:
    flags_of(node)
    if not node.pairs:
        raise node.error(f"{node.keyword} needs a name and a value", hint=f"{node.keyword} A=b")
    for name, _ in node.pairs:
        if not name:
            raise node.error(f"{node.keyword}: a name is empty", "=")
    return node.pairs


def _label(node: Node) -> Instruction:
    return kinds.Label(node=node, pairs=_pairs(node))


def _env(node: Node) -> Instruction:
    return kinds.Env(node=node, pairs=_pairs(node))


def _arg(node: Node) -> Instruction:
    flags_of(node)
    pairs: list[tuple[str, str | None]] = []
    for word in _need(node, "ARG NAME[=DEFAULT]"):
        name, equals, value = word.partition("=")
        if not _VARIABLE.fullmatch(name):
            raise node.error(f"ARG: {name!r} is not a variable name", word)
        pairs.append((name, value if equals else None))
    return kinds.Arg(node=node, pairs=tuple(pairs))


def _maintainer(node: Node) -> Instruction:
    flags_of(node)
    return kinds.Maintainer(node=node, name=_need(node, "MAINTAINER NAME", exactly=1)[0])


def _expose(node: Node) -> Instruction:
    flags_of(node)
    return kinds.Expose(node=node, ports=_need(node, "EXPOSE PORT[/PROTOCOL]"))


def _copy(node: Node) -> Instruction:
    flags = flags_of(node, ("from", "chown", "chmod", "link", "parents", "exclude"))
    sources, destination = _paths(node)
    origin = flags.get("from", "")
    if "from" in flags and (not origin or "$" in origin):
        raise node.error(
            "COPY --from takes a stage's or image's name as it is, without variables",
            f"--from={origin}",
            "give the image a stage of its own: FROM $IMAGE AS NAME",
        )
    return kinds.Copy(
        node=node,
        sources=sources,
        destination=destination,
        source_stage=origin,
        parents=switch_of(node, "parents", flags) or False,
        excludes=all_of(node, "exclude"),
        heredocs=node.heredocs,
        **_ownership(node, flags),
    )


def _add(node: Node) -> Instruction:
    known = ("chown", "chmod", "link", "checksum", "keep-git-dir", "unpack", "exclude")
    flags = flags_of(node, known)
    sources, destination = _paths(node)
    return kinds.Add(
        node=node,
        sources=sources,
        destination=destination,
        checksum=flags.get("checksum", ""),
        keep_git_dir=switch_of(node, "keep-git-dir", flags) or False,
        unpack=switch_of(node, "unpack", flags),
        excludes=all_of(node, "exclude"),
        heredocs=node.heredocs,
        **_ownership(node, flags),
    )


class _Ownership(TypedDict):
    chown: str
    chmod: str
    link: bool


def _ownership(node: Node, flags: Mapping[str, str]) -> _Ownership:
    return {
        "chown": flags.get("chown", ""),
        "chmod": flags.get("chmod", ""),
        "link": switch_of(node, "link", flags) or False,
    }


def _paths(node: Node) -> tuple[tuple[str, ...], str]:
    if len(node.args) < 2:
        raise node.error(
            f"{node.keyword} needs at least one source and a destination",
            hint=f"{node.keyword} SOURCE … DESTINATION",
        )
    *sources, destination = node.args
    if not destination or not all(sources):
        raise node.error(f"{node.keyword}: a path is empty")
    return tuple(sources), destination


def _volume(node: Node) -> Instruction:
    flags_of(node)
    paths = _need(node, 'VOLUME ["/PATH"]')
    if not all(path.strip() for path in paths):
        raise node.error("VOLUME: a path is empty")
    return kinds.Volume(node=node, paths=paths)


def _user(node: Node) -> Instruction:
    flags_of(node)
    return kinds.User(node=node, user=_need(node, "USER NAME[:GROUP]", exactly=1)[0])


def _workdir(node: Node) -> Instruction:
    flags_of(node)
    return kinds.Workdir(node=node, path=_need(node, "WORKDIR /PATH", exactly=1)[0])


def _onbuild(node: Node) -> Instruction:
    flags_of(node)
    if node.child is None:
        raise node.error("ONBUILD needs an instruction", hint="ONBUILD RUN COMMAND")
    _check_trigger(node, node.child.keyword)
    typed(node.child)
    trigger = node.child.text + "".join(
        f"\n{heredoc.content}{heredoc.name}" for heredoc in node.heredocs
    )
    return kinds.Onbuild(node=node, trigger=trigger)


def _check_trigger(node: Node, keyword: str) -> None:
    if keyword in ("ONBUILD", "FROM", "MAINTAINER"):
        raise node.error(f"{keyword} cannot be an ONBUILD trigger", keyword)


def _stopsignal(node: Node) -> Instruction:
    flags_of(node)
    return kinds.Stopsignal(node=node, signal=_need(node, "STOPSIGNAL SIGTERM", exactly=1)[0])


_MAKERS: dict[str, Callable[[Node], Instruction]] = {
    "ADD": _add,
    "ARG": _arg,
    "CMD": _cmd,
    "COPY": _copy,
    "ENTRYPOINT": _entrypoint,
    "ENV": _env,
    "EXPOSE": _expose,
    "FROM": _from,
    "HEALTHCHECK": parse_healthcheck,
    "LABEL": _label,
    "MAINTAINER": _maintainer,
    "ONBUILD": _onbuild,
    "RUN": _run,
    "SHELL": _shell,
    "STOPSIGNAL": _stopsignal,
    "USER": _user,
    "VOLUME": _volume,
    "WORKDIR": _workdir,
}
