"""Tables, and ``--format``."""

from __future__ import annotations

import json

import pytest

from corten.cli.tables import table
from corten.cli.templates import compile_template, render_rows
from corten.errors import Usage

VALUE = {
    "Name": "web",
    "Config": {"Labels": {"b": "2", "a": "1"}, "Env": ["A=1", "B=2"], "Cmd": None, "Tty": False},
    "Size": 12,
    "Ports": [{"Host": 80}, {"Host": 443}],
}


def shown(text: str) -> str:
    return compile_template(text)(VALUE)


def test_columns_are_ten_wide_and_three_apart() -> None:
    text = table(
        ("REPOSITORY", "TAG", "SIZE"), [("debian", "12", "1MB"), ("a/long-name", "x", "9B")]
    )
    assert text == (
        "REPOSITORY    TAG       SIZE\ndebian        12        1MB\na/long-name   x         9B\n"
    )


def test_a_table_without_rows_is_its_header() -> None:
    assert table(("A", "B"), []) == "A         B\n"
    assert table((), []) == ""


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("{{.Name}}", "web"),
        ("{{ .Name }}:{{.Size}}", "web:12"),
        ("{{.Config.Labels}}", "map[a:1 b:2]"),
        ("{{.Config.Env}}", "[A=1 B=2]"),
        ("{{.Config.Tty}}", "false"),
        ("{{.Config.Cmd}}", "<no value>"),
        ("{{json .Config.Labels}}", '{"b":"2","a":"1"}'),
        ("{{.Config.Labels | json}}", '{"b":"2","a":"1"}'),
        ('{{index .Config.Labels "a"}}', "1"),
        ('{{index .Config.Labels "missing"}}', ""),
        ("{{index .Config.Env 1}}", "B=2"),
        ('{{join .Config.Env ","}}', "A=1,B=2"),
        ("{{len .Config.Env}}", "2"),
        ("{{upper .Name}}", "WEB"),
        ("{{.Name | upper | lower}}", "web"),
        ("{{range .Config.Env}}{{.}};{{end}}", "A=1;B=2;"),
        ("{{range .Ports}}{{.Host}} {{$.Name}} {{end}}", "80 web 443 web "),
        ("{{range .Config.Env}}{{println .}}{{end}}", "A=1\nB=2\n"),
        ("{{if .Config.Tty}}yes{{else}}no{{end}}", "no"),
        ("{{if .Config.Env}}yes{{end}}", "yes"),
        ("a {{- .Name -}} b", "awebb"),
        ("{{.Name}}\\t{{.Size}}", "web\t12"),
        ("{{/* nothing */}}x", "x"),
        ("plain", "plain"),
    ],
)
def test_templates_print_what_go_prints(template: str, text: str) -> None:
    assert shown(template) == text


@pytest.mark.parametrize(
    ("template", "part"),
    [
        ("{{.Nam}}", "no field 'Nam'"),
        ("{{.Name.Sub}}", "no fields"),
        ("{{Name}}", "is no field"),
        ("{{frob .Name}}", "unknown function 'frob'"),
        ("{{.Name", "without }}"),
        ("{{end}}", "without"),
        ("{{if .Name}}x", "without {{end}}"),
        ("{{if .Name}}x{{else if .Size}}y{{end}}", "not supported"),
        ("{{}}", "nothing to show"),
        ("{{len (index .Config.Env 0)}}", "parentheses"),
        ("{{index .Config.Env 7}}", "cannot take"),
        ("{{range .Name}}x{{end}}", "not a list"),
        ("{{if .Name}}" * 60 + "{{end}}" * 60, "too deep"),
    ],
)
def test_what_is_not_understood_is_an_error_that_names_it(template: str, part: str) -> None:
    with pytest.raises(Usage) as caught:
        shown(template)
    assert part in caught.value.message


def test_an_unknown_field_s_hint_lists_the_known_ones() -> None:
    with pytest.raises(Usage) as caught:
        shown("{{.Nam}}")
    assert "Name" in caught.value.hint


ROWS = [{"ID": "aa", "Size": "1MB"}, {"ID": "bbb", "Size": "2MB"}]
TITLES = {"ID": "IMAGE ID", "Size": "SIZE"}


def test_rows_by_template_are_one_line_each() -> None:
    assert render_rows("{{.ID}} {{.Size}}", ROWS, TITLES) == "aa 1MB\nbbb 2MB\n"


def test_rows_as_table_have_titles() -> None:
    assert render_rows("table {{.ID}}\\t{{.Size}}", ROWS, TITLES) == (
        "IMAGE ID   SIZE\naa         1MB\nbbb        2MB\n"
    )


def test_rows_as_json_are_one_object_a_line() -> None:
    lines = render_rows("json", ROWS, TITLES).splitlines()
    assert [json.loads(line) for line in lines] == ROWS
