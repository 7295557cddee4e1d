"""Reference, "Here-Documents"."""

from corpus.case import Case, Wrong

CASES = (
    Case(
        "a script of several lines for the default shell",
        r"""
FROM base
RUN <<EOT
  mkdir -p /foo/bar
  echo "$((1+1)) \$x" > /foo/out
EOT
""",
        tree=r"""
foo/
foo/bar/
foo/out = 2 $x\n
""",
    ),
    Case(
        "a script for the program that is named",
        r"""
FROM base
RUN <<EOT ash
set -e
echo x > /out
EOT
""",
        tree=r"out = x\n",
    ),
    Case(
        "an interpreter line names the program",
        r"""
FROM base
RUN <<EOT
#!/bin/awk -f
BEGIN { print "hello" > "/out" }
EOT
""",
        tree=r"out = hello\n",
    ),
    Case(
        "several in one instruction",
        r"""
FROM base
RUN <<FILE1 cat > file1 && <<FILE2 cat > file2
I am
first
FILE1
I am
second
FILE2
""",
        tree=r"""
file1 = I am\nfirst\n
file2 = I am\nsecond\n
""",
    ),
    Case(
        "COPY makes a file of it",
        r"""
FROM scratch
COPY <<EOF greeting.txt
hello world
EOF
""",
        tree=r"greeting.txt = hello world\n",
    ),
    Case(
        "ADD makes a file of it too",
        r"""
FROM scratch
ADD <<EOF /x
hello
EOF
""",
        tree=r"x = hello\n",
    ),
    Case(
        "variables are replaced, and tabs taken off",
        'FROM scratch\nARG FOO=bar\nCOPY <<-EOT /script.sh\n\t\techo "hello ${FOO}"\n\tEOT\n',
        tree=r'script.sh = echo "hello bar"\n',
    ),
    Case(
        "spaces are not taken off",
        "FROM scratch\nCOPY <<-EOT /x\n  a\nEOT\n",
        tree=r"x =   a\n",
    ),
    Case(
        "a quoted word keeps variables",
        r"""
FROM scratch
ARG FOO=bar
COPY <<-"EOT" /script.sh
  echo "hello ${FOO}"
EOT
""",
        tree=r'script.sh =   echo "hello ${FOO}"\n',
    ),
    Case(
        "a word that is quoted in part keeps variables",
        "FROM scratch\nARG FOO=bar\nCOPY <<E'O'F /x\n$FOO\\n\nEOF\n",
        tree=r"x = $FOO\\n\n",
    ),
    Case(
        "a backslash keeps a variable, and quotes are text",
        "FROM scratch\nARG FOO=bar\nCOPY <<EOF /x\n\\$FOO 'a' \"$FOO\"\nEOF\n",
        tree=r"""x = $FOO 'a' "bar"\n""",
    ),
    Case(
        "the builder leaves variables of RUN to the shell",
        "FROM base\nARG FOO=bar\nRUN <<EOF\nFOO=baz; echo $FOO > /out\nEOF\n",
        tree=r"out = baz\n",
    ),
    Case(
        "what looks like a comment or an instruction is text",
        "FROM scratch\nCOPY <<EOF /x\n# comment\nRUN false\n\nEOF\n",
        tree=r"x = # comment\nRUN false\n\n",
    ),
    Case(
        "several files have the names of their words",
        "FROM scratch\nCOPY <<a.txt <<b.txt /d/\n1\na.txt\n2\nb.txt\n",
        tree="d/\nd/a.txt = 1\\n\nd/b.txt = 2\\n",
    ),
    Case(
        "a file beside those of the context",
        "FROM scratch\nCOPY a <<b /d/\n2\nb\n",
        context="a = x",
        tree="d/\nd/a = x\nd/b = 2\\n",
    ),
    Case(
        "COPY's flags are for it",
        "FROM scratch\nCOPY --chmod=755 --chown=1:2 <<EOF /x\n1\nEOF\n",
        tree=r"x 755 1:2 = 1\n",
    ),
    Case("it may be empty", "FROM scratch\nCOPY <<EOF /x\nEOF\n", tree="x"),
    Case(
        "without an end it is an error",
        "FROM scratch\nCOPY <<EOF /x\nhello\n",
        error=Wrong("Invalid", "EOF", 2),
    ),
    Case(
        "a line with more than the word does not end it",
        "FROM scratch\nCOPY <<EOF /x\n EOF\nEOF x\nEOF\n",
        tree=r"x =  EOF\nEOF x\n",
    ),
    Case(
        "the status of a script is that of its last command",
        "FROM base\nRUN <<EOF\nfalse\ntrue\nEOF\n",
        tree="",
    ),
    Case(
        "what follows it is the next instruction",
        "FROM base\nRUN <<EOF\ntrue\nEOF\nENV A=1\n",
        env={"A": "1"},
    ),
)
