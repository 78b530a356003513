"""`forensics power`."""

import click

from forensics.cli.common import FiniteRange, folder, json_option, print_json


@click.command()
@click.argument("key", type=folder())
@click.option(
    "--effect",
    type=FiniteRange(0.5, 1, min_open=True),
    help="True effect (share of matching units, AUC, or mean rank); by default the claim's minimum.",
)
@click.option(
    "--power",
    "wanted",
    type=FiniteRange(0, 1, min_open=True, max_open=True),
    default=0.9,
    show_default=True,
    help="Wanted probability of success.",
)
@json_option
def power(key: object, effect: float | None, wanted: float, as_json: bool) -> None:
    """How many units the claim's alpha needs, and what this KEY reaches."""
    from pathlib import Path

    from forensics.errors import UsageError
    from forensics.keys.folder import KeyFolder
    from forensics.methods import load_method
    from forensics.rules import drawn, families_needed, one_tail, power_of
    from forensics.statistics import sample_size, subset_size

    claim = KeyFolder.open(Path(str(key))).claim
    rule, spec = claim.rule, load_method(claim.method).spec
    size = float(rule.minimum_effect) if effect is None else effect
    if not 0.5 < size <= 1.0:
        raise UsageError(f"The claim's minimum effect of {size} cannot be planned for.", "Give --effect, above 0.5.")
    alpha = min(float(rule.alpha), 1e-3 / (2.0**rule.grinding * rule.examinations))
    reached = power_of(claim, size, alpha)
    facts: dict[str, float | None] = {"n": rule.n, "alpha": alpha, "effect": size, "power": reached}
    try:
        if spec.test == "subset":
            chosen = drawn(claim.parameters)
            needed, of_them = subset_size(rule.n, chosen, size, one_tail(rule, alpha), wanted)
            facts |= {"chosen": chosen, "needed": needed, "needed_chosen": of_them}
        elif spec.test == "ranks":
            facts |= {"needed": families_needed(claim, size, alpha, wanted)}
        else:
            facts |= {"needed": sample_size(size, alpha, wanted, 0.5)}
    except ValueError as error:
        raise UsageError(f"An effect of {size} is too close to chance to plan for.", "Give a larger one.") from error
    if as_json:
        print_json(facts)
    elif spec.test == "subset":
        click.echo(
            f"{facts['chosen']} of {rule.n} {spec.pool} reach p <= {alpha:.1e} with a probability of about "
            f"{reached:.3f} if the AUC is {size:.2f}."
        )
        needs = f"{facts['needed_chosen']} of {facts['needed']} {spec.pool}"
        click.echo(f"A probability of {wanted:.2f} takes about {needs}.")
    elif spec.test == "ranks":
        click.echo(
            f"{rule.n} families reach p <= {alpha:.1e} with a probability of about {reached:.3f} if the drawn class "
            f"exceeds a share of {size:.2f} of the others."
        )
        if facts["needed"] is None:
            click.echo(f"No number of families that a key can have gives a probability of {wanted:.2f}.")
        else:
            click.echo(f"A probability of {wanted:.2f} takes about {facts['needed']} families.")
    else:
        click.echo(
            f"{rule.n} units reach p <= {alpha:.1e} with probability {reached:.3f} if a share of {size:.2f} matches."
        )
        click.echo(f"A probability of {wanted:.2f} takes {facts['needed']} units.")
