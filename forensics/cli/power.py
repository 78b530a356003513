"""`forensics power`."""

import click

from forensics.cli.common import folder, json_option, print_json


@click.command()
@click.argument("key", type=folder())
@click.option(
    "--effect", type=float, help="True effect (share of matching units, or AUC); by default the claim's minimum."
)
@click.option("--power", "wanted", type=float, default=0.9, show_default=True, help="Wanted probability of success.")
@json_option
def power(key: object, effect: float | None, wanted: float, as_json: bool) -> None:
    """How many units the claim's alpha needs, and what this KEY reaches."""
    from pathlib import Path

    from forensics.errors import UsageError
    from forensics.keys.folder import KeyFolder
    from forensics.methods import load_method
    from forensics.rules import power_of
    from forensics.statistics import sample_size, subset_size

    claim = KeyFolder.open(Path(str(key))).claim
    rule, spec = claim.rule, load_method(claim.method).spec
    size = float(rule.minimum_effect) if effect is None else effect
    if not 0.5 < size <= 1.0 or not 0.0 < wanted < 1.0:
        raise UsageError("Effect and power do not make sense.", "Give an effect above 0.5 and a power below 1.")
    alpha = min(float(rule.alpha), 1e-3 / (2.0**rule.grinding * rule.examinations))
    reached = power_of(claim, size, alpha)
    facts = {"n": rule.n, "alpha": alpha, "effect": size, "power": reached}
    try:
        if spec.test == "subset":
            drawn = int(claim.parameters["words"])
            needed, of_them = subset_size(rule.n, drawn, size, alpha, wanted)
            facts |= {"chosen": drawn, "needed": needed, "needed_chosen": of_them}
        else:
            facts |= {"needed": sample_size(size, alpha, wanted, 0.5)}
    except ValueError as error:
        raise UsageError(f"An effect of {size} is too close to chance to plan for.", "Give a larger one.") from error
    if as_json:
        print_json(facts)
    elif spec.test == "subset":
        click.echo(
            f"{facts['chosen']} of {rule.n} words reach p <= {alpha:.1e} with a probability of about {reached:.3f} if "
            f"the AUC is {size:.2f}."
        )
        click.echo(f"A probability of {wanted:.2f} takes about {facts['needed_chosen']} of {facts['needed']} words.")
    else:
        click.echo(
            f"{rule.n} units reach p <= {alpha:.1e} with probability {reached:.3f} if a share of {size:.2f} matches."
        )
        click.echo(f"A probability of {wanted:.2f} takes {facts['needed']} units.")
