from headrace.warehouse.dbt_messages import project_failure, without_noise

BINDER = """Runtime Error in model bad (models/bad.sql)
  Binder Error: Referenced column "nope" not found in FROM clause!
  Candidate bindings: "order_id"

  LINE 26: select nope from "gold"."main"."x"
                  ^"""


def test_a_models_error_keeps_what_duckdb_said_and_nothing_else():
    text, _ = without_noise(BINDER)
    assert text == 'Binder Error: Referenced column "nope" not found in FROM clause! Candidate bindings: "order_id"'


def test_the_line_is_looked_up_in_the_file_not_in_the_compiled_sql():
    assert without_noise(BINDER, "-- why\n\nselect nope from {{ ref('x') }}")[1] == 3
    assert (
        without_noise(BINDER.replace(' from "gold"."main"."x"', ""), "-- why\nselect nope\nfrom {{ ref('x') }}")[1] == 2
    )


def test_a_line_that_cannot_be_told_is_not_guessed():
    assert without_noise(BINDER, "select nope\nunion all select nope")[1] is None
    assert without_noise(BINDER, "select {{ columns() }}")[1] is None


def test_a_template_error_has_its_own_line():
    message = (
        "Compilation Error in model x (models/x.sql)\n  unexpected '}', expected ')'\n    line 7\n      {{ ref('a' }}"
    )
    text, line = without_noise(message)
    assert line == 7
    assert "unexpected '}', expected ')'" in text


def test_a_missing_ref_names_the_model_and_its_file():
    error = RuntimeError(
        "Compilation Error\n  Model 'model.shop.mart' (models/marts/mart.sql) depends on a node named 'nope' "
        "which was not found"
    )
    failure = project_failure(error)
    assert failure["file"] == "models/marts/mart.sql"
    assert failure["message"] == "Model mart depends on a node named 'nope' which was not found"


def test_no_exception_is_a_failure_too():
    assert project_failure(None)["message"]
