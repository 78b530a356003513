"""Making a key of trigger sets: too few families are allowed, and said."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from forensics.checkpoints import save_classifier
from forensics.cli import root
from forensics.keys.folder import KeyFolder
from forensics.training.classifier import small_resnet
from forensics.training.data import save_images
from tests.cli.test_cli_espew import refused, run
from tests.line import small_digits

PASSPHRASE = "correct horse"


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place, digits = tmp_path_factory.mktemp("t2s"), small_digits(slice(0, 80))
    save_images(digits, place / "pool")
    save_classifier(small_resnet(digits, 0, widths=(4, 8), depths=(1, 1)), place / "unmarked", "# unmarked\n")
    return place


def words(places: Path, name: str, *more: object) -> list[str]:
    make = ("key", "new", places / name, "--method", "t2s", "--owner", "Example owner", "--no-timestamp")
    given = ("--pool", places / "pool", "--reference-checkpoint", places / "unmarked", "--pool-size", 40)
    return [str(word) for word in (*make, *given, *more)]


def made(places: Path, name: str, *more: object):
    found = CliRunner(env={"FORENSICS_PASSPHRASE": PASSPHRASE}).invoke(root, words(places, name, *more))
    assert found.exit_code == 0, found.output
    return found


def test_a_key_that_draws_too_little_is_made_with_a_warning(places: Path) -> None:
    found = made(places, "FEW", "--json")
    assert "10 classes for each of 8 families is too little" in found.stderr
    assert "The verdict will be INCONCLUSIVE" in found.stderr
    assert json.loads(found.stdout)["method"] == "t2s 1"
    assert KeyFolder.open(places / "FEW").claim.parameters["kind"] == "pattern"
    planned = run("power", places / "FEW")
    assert "8 families reach p <= 9.5e-10 with a probability of about 0.000" in planned
    assert "takes about" in run("power", places / "FEW", "--effect", "0.95")


def test_a_key_that_draws_enough_is_made_without_one(places: Path) -> None:
    for name, more in (("MANY", ("--option", "families=12")), ("MILD", ("--grinding", 10))):
        found = made(places, name, *more)
        assert "Warning" not in found.stderr
    assert "12 families" in run("key", "new", *words(places, "OTHER", "--option", "families=12")[2:])


def test_what_does_not_suit_is_refused_in_a_sentence(places: Path) -> None:
    refused(words(places, "KEY", "--option", "kind=sound"), "no kind of trigger set 'sound'", "pattern")
    refused(words(places, "KEY", "--option", "kind=in"), "need 256 images; the pool has 40")
    refused(words(places, "KEY", "--option", "decoys=0"), "0 is not possible for decoys")
    assert not (places / "KEY").exists()
