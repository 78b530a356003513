"""What people supply: refused with the key's name where it is wrong, a draft where it is missing."""

from datetime import date
from pathlib import Path

import pytest

from forensics.errors import UsageError
from forensics.report.assets import read_asset
from forensics.report.details import REQUIRED, Details, load_details
from tests.report.cases import make_details


def test_without_a_file_everything_required_is_missing() -> None:
    assert load_details(None).missing() == REQUIRED


def test_complete_details_make_a_final_report() -> None:
    assert make_details().missing() == ()


@pytest.mark.parametrize("name", REQUIRED)
def test_each_required_key_alone_makes_a_draft(name: str) -> None:
    table, key = name.split(".")
    given = getattr(getattr(make_details(), table), key)
    blank = () if isinstance(given, tuple) else None if isinstance(given, date) else "  "
    assert make_details(**{table: {key: blank}}).missing() == (name,)


def test_the_shipped_form_is_valid_and_claims_nothing(tmp_path: Path) -> None:
    form = tmp_path / "case.toml"
    form.write_bytes(read_asset("case.toml"))
    assert load_details(form).missing() == REQUIRED
    text = form.read_text(encoding="utf-8")
    assert all(name.split(".")[1] in text for name in REQUIRED)


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ('[examiner]\nnmae = "x"\n', "unknown key 'examiner.nmae'"),
        ("colour = 1\n", "unknown key 'colour'"),
        ("[examiner]\nname = 3\n", "'examiner.name'"),
        ('[examiner]\nqualifications = "one"\n', "'examiner.qualifications'"),
        ('[report]\ndate = "soon"\n', "'report.date'"),
        ('language = "xx"\n', "'language'"),
        ("[report\n", "no TOML"),
    ],
)
def test_wrong_details_are_refused_by_name(tmp_path: Path, text: str, cause: str) -> None:
    path = tmp_path / "case.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UsageError, match=cause):
        load_details(path)


def test_dates_may_be_quoted(tmp_path: Path) -> None:
    path = tmp_path / "case.toml"
    path.write_text('[report]\ndate = "2026-04-20"\n[review]\ndate = 2026-04-18\n', encoding="utf-8")
    details = load_details(path)
    assert details.report.date == date(2026, 4, 20)
    assert details.review.date == date(2026, 4, 18)


def test_missing_file_and_wrong_encoding_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        load_details(tmp_path / "none.toml")
    path = tmp_path / "latin.toml"
    path.write_bytes("[parties]\nclaimant = 'M\xfcller'\n".encode("latin-1"))
    with pytest.raises(UsageError, match="no TOML"):
        load_details(path)


def test_empty_details_are_valid() -> None:
    assert Details() == load_details(None)
