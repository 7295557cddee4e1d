"""Reference, "COPY --from", "--chmod", "--chown", "--link"."""

from corpus.case import Case, Wrong

CASES = (
    Case(
        "--from a stage by name",
        "FROM scratch AS build\nCOPY a /hello\nFROM scratch\nCOPY --from=build /hello /\n",
        context="a = x",
        tree="hello = x",
    ),
    Case(
        "--from a stage by number",
        "FROM scratch\nCOPY a /hello\nFROM scratch\nCOPY --from=0 /hello /x\n",
        context="a = x",
        tree="x = x",
    ),
    Case(
        "--from an image",
        "FROM scratch\nCOPY --from=base /srv/old /x\n",
        tree="x = old",
    ),
    Case(
        "--from a named context",
        "FROM scratch\nCOPY --from=lib a /x\n",
        context="lib/a = x",
        options={"build_contexts": ("lib=CONTEXT/lib",)},
        tree="x = x",
    ),
    Case(
        "--from resolves relative sources from the root",
        "FROM base AS one\nWORKDIR /srv\nFROM scratch\nCOPY --from=one srv/old /x\n",
        tree="x = old",
    ),
    Case(
        "--from follows links inside the stage",
        "FROM base AS one\nFROM scratch\nCOPY --from=one /link/old /x\nCOPY --from=one /link /y\n",
        tree="x = old\ny/\ny/old = old\ny/sub/\ny/sub/deep = deep",
    ),
    Case(
        "--from keeps modes, owners and links of a stage",
        "FROM base AS one\nRUN mkdir -p /d/e && echo x > /d/e/f && chown -R 7:8 /d/e"
        " && chmod 2710 /d/e && ln -s e/f /d/l\nFROM scratch\nCOPY --from=one /d /d\n",
        tree=r"""
d/
d/e/ 2710 7:8
d/e/f 644 7:8 = x\n
d/l -> e/f
""",
    ),
    Case(
        "--from a stage that is not there is an error",
        "FROM scratch\nCOPY --from=7 /a /\n",
        error=Wrong("Invalid", "7", 2),
    ),
    Case(
        "--from its own stage is an error",
        "FROM base AS one\nCOPY --from=one /srv/old /x\n",
        error=Wrong("Invalid", "one"),
    ),
    Case(
        "--from takes no variables",
        "FROM base AS one\nFROM scratch\nARG A=one\nCOPY --from=$A /srv/old /x\n",
        error=Wrong("Invalid", "from", 4),
    ),
    Case(
        "a source that the stage does not have is an error",
        "FROM base AS one\nFROM scratch\nCOPY --from=one /missing /x\n",
        error=Wrong("NotFound", "missing", 3),
    ),
    Case(
        "--chmod in octal",
        "FROM scratch\nCOPY --chmod=755 app.sh /app/\nCOPY --chmod=0640 file.txt /data/\n",
        context="app.sh = x\nfile.txt = y",
        tree="app/\napp/app.sh 755 = x\ndata/\ndata/file.txt 640 = y",
    ),
    Case(
        "--chmod in octal is for directories too",
        "FROM scratch\nCOPY --chmod=700 d /x\n",
        context="d/e/f = x",
        tree="x/\nx/e/ 700\nx/e/f 700 = x",
    ),
    Case(
        "--chmod may be a variable",
        "FROM scratch\nARG MODE=440\nCOPY --chmod=$MODE . .\n",
        context="a = x",
        tree="a 440 = x",
    ),
    Case(
        "--chmod may set the upper bits",
        "FROM scratch\nCOPY --chmod=4755 a /\n",
        context="a = x",
        tree="a 4755 = x",
    ),
    Case(
        "--chmod=+x",
        "FROM scratch\nCOPY --chmod=+x script.sh /app/\n",
        context="script.sh 640 = x",
        tree="app/\napp/script.sh 751 = x",
    ),
    Case(
        "--chmod=u=rwX,go=rX keeps the executable bit of files that have it",
        "FROM scratch\nCOPY --chmod=u=rwX,go=rX . /app/\n",
        context="a 600 = x\nb 700 = y\nd/ 700\nd/c 640 = z",
        tree="app/\napp/a 644 = x\napp/b 755 = y\napp/d/\napp/d/c 644 = z",
    ),
    Case(
        "--chmod=g=u",
        "FROM scratch\nCOPY --chmod=g=u config/ /config/\n",
        context="config/a 640 = x\nconfig/b 710 = y",
        tree="config/\nconfig/a 660 = x\nconfig/b 770 = y",
    ),
    Case(
        "--chmod takes rights away",
        "FROM scratch\nCOPY --chmod=go-rwx,u+x a /\n",
        context="a 666 = x",
        tree="a 700 = x",
    ),
    Case(
        "--chmod that is no mode is an error",
        "FROM scratch\nCOPY --chmod=rwx a /\n",
        context="a",
        error=Wrong("Invalid", "rwx", 2),
    ),
    Case(
        "--chmod of nine digits is an error",
        "FROM scratch\nCOPY --chmod=999 a /\n",
        context="a",
        error=Wrong("Invalid", "999", 2),
    ),
    Case(
        "--chmod leaves links as they are",
        "FROM scratch\nCOPY --chmod=600 d /\n",
        context="d/a = x\nd/l -> a",
        tree="a 600 = x\nl -> a",
    ),
    Case(
        "--chown numbers",
        "FROM base\nCOPY --chown=10:11 files* /somedir/\n",
        context="files1 = x\nfiles2/a = y",
        tree="somedir/ 755 10:11\nsomedir/a 644 10:11 = y\nsomedir/files1 644 10:11 = x",
    ),
    Case(
        "--chown a user's number alone is the group's too",
        "FROM scratch\nCOPY --chown=1 a /\n",
        context="a = x",
        tree="a 644 1:1 = x",
    ),
    Case(
        "--chown names are looked up in the image",
        "FROM base\nCOPY --chown=app:staff a /\n",
        context="a = x",
        tree="a 644 1000:50 = x",
    ),
    Case(
        "--chown a number and a name",
        "FROM base\nCOPY --chown=55:staff a /\nCOPY --chown=app:7 a /b\n",
        context="a = x",
        tree="a 644 55:50 = x\nb 644 1000:7 = x",
    ),
    Case(
        "--chown a user's name alone gives the group of the same number",
        "FROM base\nCOPY --chown=app a /\n",
        context="a = x",
        tree="a 644 1000:1000 = x",
    ),
    Case(
        "--chown a name that the image does not have is an error",
        "FROM base\nCOPY --chown=nobody a /\n",
        context="a",
        error=Wrong("CortenError", "nobody", 2),
    ),
    Case(
        "--chown a name in an image without /etc/passwd is an error",
        "FROM scratch\nCOPY --chown=app a /\n",
        context="a",
        error=Wrong("CortenError", "app", 2),
    ),
    Case(
        "--chown of a group that the image does not have is an error",
        "FROM base\nCOPY --chown=app:nobody a /\n",
        context="a",
        error=Wrong("CortenError", "nobody", 2),
    ),
    Case(
        "--chown with --chmod",
        "FROM base\nCOPY --chown=app:app --chmod=644 files* /somedir/\n",
        context="files1 700 = x",
        tree="somedir/ 755 1000:1001\nsomedir/files1 644 1000:1001 = x",
    ),
    Case(
        "--chown is for what is copied from a stage too",
        "FROM base AS one\nFROM scratch\nCOPY --from=one --chown=3:4 /srv /x\n",
        tree="""
x/ 755 3:4
x/old 644 3:4 = old
x/sub/ 755 3:4
x/sub/deep 644 3:4 = deep
""",
    ),
    Case(
        "--chown may be a variable",
        "FROM scratch\nARG WHO=5:6\nCOPY --chown=$WHO a /\n",
        context="a = x",
        tree="a 644 5:6 = x",
    ),
    Case(
        "--chown leaves directories that are there as they are",
        "FROM base\nCOPY --chown=5:6 a /srv/\n",
        context="a = x",
        tree="srv/a 644 5:6 = x",
    ),
    Case(
        "--link copies onto what is there",
        "FROM base\nCOPY --link a /srv/old\n",
        context="a = x",
        tree="srv/old = x",
    ),
    Case(
        "--link does not follow links in the destination",
        "FROM base\nCOPY --link a /link/a\n",
        context="a = x",
        tree="link/\nlink/a = x",
    ),
    Case(
        "--link=false follows links in the destination",
        "FROM base\nCOPY --link=false a /link/a\n",
        context="a = x",
        tree="srv/a = x",
    ),
    Case(
        "a value of --link that is no boolean is an error",
        "FROM base\nCOPY --link=maybe a /x\n",
        context="a",
        error=Wrong("Invalid", "maybe", 2),
    ),
    Case(
        "an unknown flag is an error",
        "FROM base\nCOPY --chmdo=755 a /x\n",
        context="a",
        error=Wrong("Invalid", "chmod", 2),
    ),
    Case(
        "a flag may not stand twice",
        "FROM base\nCOPY --chmod=755 --chmod=644 a /x\n",
        context="a",
        error=Wrong("Invalid", "chmod", 2),
    ),
    Case(
        "--checksum is no flag of it",
        "FROM base\nCOPY --checksum=sha256:0 a /x\n",
        context="a",
        error=Wrong("Invalid", "checksum", 2),
    ),
)
