"""Models as SQL: what needs no Jinja is not given to it, and says the same; what is the same is rendered once."""

import pytest

from headrace.warehouse.base import Inputs
from headrace.warehouse.rendering import Rendering, models

NOTHING = "{# #}"  # a comment: with it, Jinja has to render the model

PLAIN = [
    "select * from {{ ref('orders') }}",
    "select * from {{ref(\"shop\", 'Orders')}} join {{ source( 'silver','visits' ) }} using (id);\n",
    "{{ config(materialized='incremental', unique_key=['a', 'b'], enabled=True, tags=('x',)) }}\nselect 1 as one\n\n",
    "{{ config() }}select '}}' as closed from {{ ref('a') }}",
]
JINJA = [
    "{{ config(materialized=var('how', 'view')) }}select 1",
    "{{ config(enabled=true) }}select 1",
    "{{ config(meta={'a': 1}) }}select 1",
    "select {{ 1 + 1 }} from {{ ref('a') }}",
    "select {{ \"{{ ref('a') }}\" }}",
    "{% raw %}{{ ref('a') }}{% endraw %}",
    "{{- ref('a') -}} \r\n",
    "select * from {{ ref('a', v=2) }}",
    "select * from {{ source('silver') }}",
    "select {{ unknown('a') }} from {{ ref('a') }}",
    "select {{ ref('a' }}",
]


@pytest.mark.parametrize("text", [*PLAIN, *JINJA])
def test_without_jinja_a_model_is_what_jinja_makes_of_it(text):
    fast, slow = (Rendering({}, []).model("m", "model", "m.sql", each) for each in (text, NOTHING + text))
    assert (fast.sql, fast.parents, fast.materialized) == (slow.sql, slow.parents, slow.materialized)
    assert bool(fast.problem) == bool(slow.problem)


@pytest.mark.parametrize("text", PLAIN)
def test_plain_models_do_without_jinja(text):
    rendering = Rendering({}, [])
    rendering._environment.from_string = None  # whoever calls it fails
    assert rendering.model("m", "model", "m.sql", text).problem == ""


def test_what_is_the_same_is_rendered_once_and_other_rules_are_other_models(tmp_path):
    project = Inputs("lab", tmp_path, ())
    files = {
        "dbt_project.yml": b"name: lab\nvars: {rate: 2}\n",
        "models/a.sql": b"select {{ var('rate') }} as rate",
        "models/b.sql": b"select 1 as one",
    }
    known = {}
    before = {each.name: each for each in models(project, files, known)}
    after = {each.name: each for each in models(project, files | {"models/b.sql": b"select 2 as one"}, known)}
    assert after["a"] is before["a"]
    assert after["b"].sql == "select 2 as one"
    other = {each.name: each for each in models(project, files | {"dbt_project.yml": b"vars: {rate: 3}\n"}, known)}
    assert other["a"].sql == "select 3 as rate"
