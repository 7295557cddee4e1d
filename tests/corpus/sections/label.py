"""Reference, "LABEL"."""

from corpus.case import Case, Wrong

CASES = (
    Case(
        "the examples of the reference",
        r"""
FROM base
LABEL "com.example.vendor"="ACME Incorporated"
LABEL com.example.label-with-value="foo"
LABEL version="1.0"
LABEL description="This text illustrates \
that label-values can span multiple lines."
LABEL multi.label1="value1" multi.label2="value2" \
      other="value3"
""",
        config={
            "Labels": {
                "com.example.vendor": "ACME Incorporated",
                "com.example.label-with-value": "foo",
                "version": "1.0",
                "description": "This text illustrates that label-values can span multiple lines.",
                "multi.label1": "value1",
                "multi.label2": "value2",
                "other": "value3",
            }
        },
    ),
    Case(
        "double quotes replace variables, single quotes do not",
        "FROM base\nENV A=1\nLABEL x=\"foo-$A\" y='foo-$A'\n",
        config={"Labels": {"x": "foo-1", "y": "foo-$A"}},
    ),
    Case(
        "labels are inherited, and the last value counts",
        "FROM parent\nLABEL b=new\n",
        bases={"parent": "FROM base\nLABEL a=1 b=old\n"},
        config={"Labels": {"a": "1", "b": "new"}},
    ),
    Case(
        "labels of a stage that is only copied from are not inherited",
        "FROM base AS one\nLABEL a=1\nCOPY a /\nFROM base\nCOPY --from=one /a /\n",
        context="a",
        config={"Labels": None},
    ),
    Case(
        "labels of a stage that is the base are inherited",
        "FROM base AS one\nLABEL a=1\nFROM one\nLABEL b=2\n",
        config={"Labels": {"a": "1", "b": "2"}},
    ),
    Case(
        "--label is put on top",
        "FROM base\nLABEL a=1 b=2\n",
        options={"labels": {"b": "3", "c": "4"}},
        config={"Labels": {"a": "1", "b": "3", "c": "4"}},
    ),
    Case("a value may be empty", "FROM base\nLABEL a=\n", config={"Labels": {"a": ""}}),
    Case("a label needs a value", "FROM base\nLABEL a\n", error=Wrong("Invalid", "a", 2)),
    Case("a label needs a name", "FROM base\nLABEL =b\n", error=Wrong("Invalid", "name", 2)),
    Case(
        "a value may hold an equals sign",
        "FROM base\nLABEL a=b=c\n",
        config={"Labels": {"a": "b=c"}},
    ),
)
