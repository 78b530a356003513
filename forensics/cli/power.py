"""`forensics power`."""

import click

from forensics.cli.common import folder, json_option, print_json


@click.command()
@click.argument("key", type=folder())
@click.option("--effect", type=float, help="True share of matching units; by default the claim's minimum effect.")
@click.option("--power", "wanted", type=float, default=0.9, show_default=True, help="Wanted probability of success.")
@json_option
def power(key: object, effect: float | None, wanted: float, as_json: bool) -> None:
    """How many units the claim's alpha needs, and what this KEY reaches."""
    from pathlib import Path

    from forensics.errors import UsageError
    from forensics.keys.folder import KeyFolder
    from forensics.statistics import power_binomial, sample_size

    claim = KeyFolder.open(Path(str(key))).claim
    rule = claim.rule
    share = float(rule.minimum_effect) if effect is None else effect
    if not 0.5 < share <= 1.0 or not 0.0 < wanted < 1.0:
        raise UsageError("Effect and power do not make sense.", "Give an effect above 0.5 and a power below 1.")
    alpha = min(float(rule.alpha), 1e-3 / (2.0**rule.grinding * rule.examinations))
    reached = power_binomial(rule.n, share, alpha, 0.5)
    try:
        needed = sample_size(share, alpha, wanted, 0.5)
    except ValueError as error:
        raise UsageError(f"An effect of {share} is too close to chance to plan for.", "Give a larger one.") from error
    if as_json:
        print_json({"n": rule.n, "alpha": alpha, "effect": share, "power": reached, "needed": needed})
        return
    click.echo(
        f"{rule.n} units reach p <= {alpha:.1e} with probability {reached:.3f} if a share of {share:.2f} matches."
    )
    click.echo(f"A probability of {wanted:.2f} takes {needed} units.")
