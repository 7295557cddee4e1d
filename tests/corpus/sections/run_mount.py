"""Reference, "RUN --mount": bind, cache, tmpfs, secret, ssh."""

from corpus.case import Case, Wrong

CASES = (
    Case(
        "bind is the type without a type, and the context the source without one",
        "FROM base\nRUN --mount=target=/src cat /src/a > /out\n",
        context="a = x",
        tree="out = x",
    ),
    Case(
        "bind takes a source inside the context",
        "FROM base\nRUN --mount=type=bind,source=d/a,target=/src cat /src > /out\n",
        context="d/a = x",
        tree="out = x",
    ),
    Case(
        "dst and destination are other names of target",
        "FROM base\nRUN --mount=dst=/srv/sub,source=d --mount=destination=/srv/old,source=d/a"
        " cat /srv/sub/a /srv/old > /out\n",
        context="d/a = x",
        tree="out = xx",
    ),
    Case(
        "a relative target is below the working directory",
        "FROM base\nWORKDIR /srv\nRUN --mount=target=sub cat sub/a > /out\n",
        context="a = x",
        tree="out = x",
    ),
    Case(
        "bind is read-only",
        "FROM base\nRUN --mount=target=/srv touch /srv/a || echo no > /out\n",
        context="a = x",
        tree=r"out = no\n",
    ),
    Case(
        "what is written to a bind with rw is discarded",
        "FROM base\nRUN --mount=target=/srv,rw echo y > /srv/a && cat /srv/a > /out\n"
        "RUN --mount=target=/srv cat /srv/a >> /out\n",
        context="a = x",
        tree=r"out = y\nx",
    ),
    Case(
        "bind takes from a stage",
        "FROM scratch AS one\nCOPY a /d/a\nFROM base\n"
        "RUN --mount=from=one,source=/d,target=/srv cat /srv/a > /out\n",
        context="a = x",
        tree="out = x",
    ),
    Case(
        "bind takes from an image",
        "FROM base\nRUN --mount=from=other,target=/srv cat /srv/a > /out\n",
        bases={"other": "FROM scratch\nCOPY a /\n"},
        context="a = x",
        tree="out = x",
    ),
    Case(
        "bind does not mount what the ignore file leaves out",
        "FROM base\nRUN --mount=target=/srv ls /srv > /out\n",
        context="a\nsecret\n.dockerignore = secret\\n.dockerignore",
        tree=r"out = a\n",
    ),
    Case(
        "a source that is not there is an error",
        "FROM base\nRUN --mount=source=none,target=/srv true\n",
        error=Wrong("NotFound", "none", 2),
    ),
    Case(
        "bind needs a target",
        "FROM base\nRUN --mount=type=bind true\n",
        error=Wrong("Invalid", "target", 2),
    ),
    Case(
        "a type that is none is an error",
        "FROM base\nRUN --mount=type=bnid,target=/x true\n",
        error=Wrong("Invalid", "bind", 2),
    ),
    Case(
        "an option that is none is an error",
        "FROM base\nRUN --mount=type=bind,targte=/x true\n",
        error=Wrong("Invalid", "target", 2),
    ),
    Case(
        "an option of another type is an error",
        "FROM base\nRUN --mount=type=tmpfs,target=/x,id=a true\n",
        error=Wrong("Invalid", "id", 2),
    ),
    Case(
        "a cache persists from one RUN to the next, and is in no layer",
        "FROM base\nRUN --mount=type=cache,target=/srv,id=persists echo x > /srv/a\n"
        "RUN --mount=type=cache,target=/srv,id=persists cat /srv/a > /out\n",
        tree=r"out = x\n",
    ),
    Case(
        "the id of a cache is its target if none is given",
        "FROM base\nRUN --mount=type=cache,target=/srv/by-target echo x > /srv/by-target/a\n"
        "RUN --mount=type=cache,target=/tmp,id=/srv/by-target cat /tmp/a > /out\n",
        tree=r"out = x\n",
    ),
    Case(
        "caches of different ids are different",
        "FROM base\nRUN --mount=type=cache,target=/srv,id=this echo x > /srv/a\n"
        "RUN --mount=type=cache,target=/srv,id=that ls /srv > /out\n",
        tree="out",
    ),
    Case(
        "a new cache has mode, uid and gid",
        "FROM base\nRUN --mount=type=cache,target=/srv,id=owned,mode=0750,uid=12,gid=34"
        " stat -c '%a %u:%g' /srv > /out\n",
        tree=r"out = 750 12:34\n",
    ),
    Case(
        "a new cache is 755 and root's",
        "FROM base\nRUN --mount=type=cache,target=/srv,id=usual stat -c '%a %u:%g' /srv > /out\n",
        tree=r"out = 755 0:0\n",
    ),
    Case(
        "a cache may be read-only",
        "FROM base\nRUN --mount=type=cache,target=/srv,id=ro,ro touch /srv/a || echo no > /out\n",
        tree=r"out = no\n",
    ),
    Case(
        "a cache may begin with what a stage has",
        "FROM scratch AS one\nCOPY a /d/a\nFROM base\n"
        "RUN --mount=type=cache,target=/srv,id=seeded,from=one,source=/d cat /srv/a > /out\n",
        context="a = x",
        tree="out = x",
    ),
    Case(
        "sharing is one of three",
        "FROM base\nRUN --mount=type=cache,target=/srv,sharing=lokced true\n",
        error=Wrong("Invalid", "locked", 2),
    ),
    Case(
        "locked and private caches work",
        "FROM base\nRUN --mount=type=cache,target=/srv,id=locked,sharing=locked"
        " --mount=type=cache,target=/tmp,id=private,sharing=private touch /srv/a /tmp/b\n",
        tree="",
    ),
    Case(
        "a tmpfs is empty and is in no layer",
        "FROM base\nRUN --mount=type=tmpfs,target=/srv ls /srv > /out && touch /srv/a\n",
        tree="out",
    ),
    Case(
        "a tmpfs may have a size",
        "FROM base\nRUN --mount=type=tmpfs,target=/srv,size=1m"
        " dd if=/dev/zero of=/srv/a bs=1M count=2 2>/dev/null || echo full > /out\n",
        tree=r"out = full\n",
    ),
    Case(
        "a secret is a file in /run/secrets, 400 and root's",
        "FROM base\nRUN --mount=type=secret,id=key"
        " stat -c '%a %u:%g' /run/secrets/key > /out && cat /run/secrets/key >> /out\n",
        context="key = hidden",
        steps={"secrets": ("id=key,src=CONTEXT/key",)},
        tree=r"out = 400 0:0\nhidden",
    ),
    Case(
        "a secret has the target, mode, uid and gid that are given",
        "FROM base\nRUN --mount=type=secret,id=key,target=/srv/old,mode=0444,uid=1,gid=2"
        " stat -c '%a %u:%g' /srv/old > /out\n",
        context="key = hidden",
        steps={"secrets": ("id=key,src=CONTEXT/key",)},
        tree=r"out = 444 1:2\n",
    ),
    Case(
        "the id of a secret is the last part of its target if none is given",
        "FROM base\nRUN --mount=type=secret,target=/srv/old cat /srv/old > /out\n",
        context="key = hidden",
        steps={"secrets": ("id=old,src=CONTEXT/key",)},
        tree="out = hidden",
    ),
    Case(
        "a secret may be a variable",
        "FROM base\nRUN --mount=type=secret,id=key,env=TOKEN"
        ' echo "$TOKEN" > /out && test ! -e /run/secrets/key\n',
        context="key = hidden",
        steps={"secrets": ("id=key,src=CONTEXT/key",)},
        tree=r"out = hidden\n",
        env={},
    ),
    Case(
        "a secret that is not given is not there",
        "FROM base\nRUN --mount=type=secret,id=key test ! -e /run/secrets/key\n",
    ),
    Case(
        "a required secret that is not given is an error",
        "FROM base\nRUN --mount=type=secret,id=key,required true\n",
        error=Wrong("CortenError", "key", 2),
    ),
    Case(
        "ssh that is not given is not there",
        'FROM base\nRUN --mount=type=ssh test -z "$SSH_AUTH_SOCK"\n',
    ),
    Case(
        "required ssh that is not given is an error",
        "FROM base\nRUN --mount=type=ssh,required=true true\n",
        error=Wrong("CortenError", "ssh", 2),
    ),
    Case(
        "variables are replaced in targets, sources and ids",
        "FROM base\nARG D=/srv\nENV S=d\nRUN --mount=target=$D,source=$S cat /srv/a > /out\n",
        context="d/a = x",
        tree="out = x",
    ),
    Case(
        "from takes no variables",
        "FROM base AS one\nFROM base\nARG A=one\nRUN --mount=from=$A,target=/srv true\n",
        error=Wrong("Invalid", "from", 4),
    ),
)
