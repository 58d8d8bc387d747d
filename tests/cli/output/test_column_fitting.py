"""The layout of columns: what shrinks, and what gives way."""

from __future__ import annotations

from reconciler.cli.output.column_fitting import GAP, NARROW_GAP, Column, fit_columns

COLUMNS = {
    "NAME": Column(priority=100),
    "AGE": Column(priority=50),
    "MESSAGE": Column(priority=80, minimum=10),
}


def test_what_fits_is_left_alone():
    fit = fit_columns({"NAME": 10, "AGE": 3, "MESSAGE": 30}, COLUMNS, 10 + 3 + 30 + 2 * GAP)

    assert fit.widths == {"NAME": 10, "AGE": 3, "MESSAGE": 30}
    assert (fit.left_out, fit.gap) == ((), GAP)


def test_text_shrinks_before_a_column_goes():
    fit = fit_columns({"NAME": 10, "AGE": 3, "MESSAGE": 30}, COLUMNS, 40)

    assert fit.left_out == ()
    assert fit.widths["MESSAGE"] == 40 - 10 - 3 - 2 * NARROW_GAP
    assert fit.gap == NARROW_GAP


def test_the_least_important_goes_when_text_is_at_its_minimum():
    fit = fit_columns({"NAME": 10, "AGE": 3, "MESSAGE": 30}, COLUMNS, 24)

    assert fit.left_out == ("AGE",)
    assert fit.widths == {"NAME": 10, "MESSAGE": 12}


def test_the_most_important_stays_however_narrow_it_is():
    fit = fit_columns({"NAME": 60, "AGE": 3, "MESSAGE": 30}, COLUMNS, 40)

    assert fit.widths == {"NAME": 40}
    assert fit.left_out == ("AGE", "MESSAGE")
