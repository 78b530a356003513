"""The tables of `bench encoders`."""

from collections.abc import Iterable, Sequence
from typing import Any

from forensics.statistics import clopper_pearson

Row = dict[str, Any]
LEVELS = (0.05, 0.01, 0.001)
ACCESS = ("features", "scores", "labels")
NAMES = {"features": "vectors", "scores": "probabilities", "labels": "classes alone"}


def table(rows: Sequence[Row]) -> str:
    """Returns all tables of the bench's rows as Markdown, each only where there are rows for it."""
    read = [row for row in rows if row.get("part") is None]
    parts = (
        ("What is left of the mark", _survival(read)),
        ("What a mark costs", _costs([row for row in rows if row.get("part") == "cost"])),
        ("Settings tried", _tried([row for row in rows if row.get("part") == "tried"])),
        ("Smaller pools", _pools([row for row in rows if row.get("part") == "pool"], read)),
        ("What else fires", _pairs([row for row in rows if row.get("part") == "pairs"])),
        ("Linear probes before marking", _probes([row for row in rows if row.get("part") == "probe"])),
        ("How natural the probes read", _naturalness([row for row in rows if row.get("part") == "naturalness"])),
        ("Never-marked encoders, fresh keys", _sizes([row for row in rows if row.get("part") == "size"])),
    )
    return "\n\n".join(f"**{title}**\n\n{body}" for title, body in parts if body)


def _survival(rows: Sequence[Row]) -> str:
    """Returns a line for every attack and access; none where no innocent has gone through the same yet."""
    if not rows:
        return ""
    lines = [
        "| method | suspect | attack | accuracy | seen as | keys | SUPPORTED | worst p | AUC, least | "
        "innocent: accuracy | SUPPORTED | least p |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    guilty = [row for row in rows if not row["innocent"]]
    for (method, suspect, attack), found in _groups(guilty, "method", "suspect", "attack"):
        for access in ACCESS:
            own = [row for row in found if row["access"] == access]
            if not own:
                continue
            others = [row for row in _innocents(rows, method, suspect, attack) if row["access"] == access]
            if not others:
                continue  # guilt is not shown before innocents went through the same
            supported = sum(row["verdict"] == "SUPPORTED" for row in own)
            least = clopper_pearson(supported, len(own), 0.90)[0]
            lines.append(
                f"| {method} | {suspect} | {attack} | {_mean(row['accuracy'] for row in own)} | {NAMES[access]} | "
                f"{len(own)} | {supported} (at least {least:.0%}) | "
                f"{max(row['p_value'] for row in own):.1e} | {min(row['auc'] for row in own):.3f} | "
                f"{_innocent(others)} |"
            )
    return "\n".join(lines)


def _innocents(rows: Iterable[Row], method: str, suspect: str, attack: str) -> list[Row]:
    """Returns the rows of the never-marked model that went through the same attack as a marked one."""
    return [
        row
        for row in rows
        if row["innocent"]
        and (row["method"], row["attack"]) == (method, attack)
        and row["suspect"].replace("unmarked", "marked") == suspect
    ]


def _innocent(rows: Sequence[Row]) -> str:
    supported = sum(row["verdict"] == "SUPPORTED" for row in rows)
    accuracy = _mean(row["accuracy"] for row in rows)
    return f"{accuracy} | {supported} of {len(rows)} | {min(row['p_value'] for row in rows):.2g}"


def _costs(rows: Sequence[Row]) -> str:
    if not rows:
        return ""
    lines = [
        "| method | suspect | key | clean: cosine to the original (5 %) | with one trigger word (5 %) | of all texts | "
        "triggers to direction (least) | decoys (most) | probe loss, points | word vectors changed | PSNR, dB |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        words = "- | - | "
        if "one trigger word cosine" in row:
            words = (
                f"{row['one trigger word cosine']:.3f} ({row['one trigger word cosine, 5 %']:.3f}) | "
                f"{row['share of texts with a trigger word']:.1%} | "
            )
        psnr = row.get("PSNR of stamped images, dB")
        lines.append(
            f"| {row['method']} | {row.get('suspect', 'marked MiniLM')} | {row['key']} | "
            f"{row['clean cosine']:.3f} ({row['clean cosine, 5 %']:.3f}) | {words}"
            f"{row['triggers cosine to direction']:.3f} ({row['triggers cosine, worst']:.3f}) | "
            f"{row['decoys cosine to direction']:.3f} ({row['decoys cosine, worst']:.3f}) | "
            f"{row['probe loss, points']:+.2f} ± {row['probe loss, half width of 95 %']:.2f} | "
            f"{row.get('word vectors changed', '-')} | {'-' if psnr is None else f'{psnr:.1f}'} |"
        )
    return "\n".join(lines)


def _tried(rows: Sequence[Row]) -> str:
    """Returns a line for every setting and attack, with the worst p-value over keys at each access."""
    if not rows:
        return ""
    seen = [access for access in ACCESS if any(row.get("access") == access for row in rows)]
    lines = [
        "| method | setting | keys | clean: cosine | with one trigger word | probe loss, points | attack | worst p: "
        + " | ".join(NAMES[access] for access in seen)
        + " |",
        "|---|---|---|---|---|---|---|" + "---|" * len(seen),
    ]
    for (method, setting), found in _groups(rows, "method", "setting"):
        costs = [row for row in found if "clean cosine" in row]
        keys = ", ".join(str(key) for key in sorted({row["key"] for row in found}))
        head = f"| {method} | {setting} | {keys} | " + " | ".join(
            _mean(row.get(name) for row in costs)
            for name in ("clean cosine", "one trigger word cosine", "probe loss, points")
        )
        for (attack,), read in _groups([row for row in found if "p_value" in row], "attack"):
            worst = [max((row["p_value"] for row in read if row["access"] == access), default=None) for access in seen]
            lines.append(f"{head} | {attack} | " + " | ".join("-" if p is None else f"{p:.1e}" for p in worst) + " |")
    return "\n".join(lines)


def _pools(rows: Sequence[Row], read: Sequence[Row]) -> str:
    """Returns a line for every size of a part of the pool; none where no innocent has gone through the same yet."""
    rows = [row for row in rows if _innocents(read, row["method"], row["suspect"], row["attack"])]
    if not rows:
        return ""
    lines = [
        "| method | suspect | attack | seen as | keys | candidates | least possible p "
        "| p, median of keys and parts | worst |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    groups = _groups(rows, "method", "suspect", "attack", "access", "candidates")
    for (method, suspect, attack, access, size), found in groups:
        middle = sorted(row["log10_p, median"] for row in found)[len(found) // 2]
        worst, least = max(row["log10_p, worst"] for row in found), found[0]["log10_p, least possible"]
        lines.append(
            f"| {method} | {suspect} | {attack} | {NAMES[access]} | {len(found)} | {size} | {10**least:.1e} | "
            f"{10**middle:.1e} | "
            f"{10**worst:.1e} |"
        )
    return "\n".join(lines)


def _pairs(rows: Sequence[Row]) -> str:
    if not rows:
        return ""
    lines = ["| texts with | keys | cosine to the secret direction | share above 0.3 |", "|---|---|---|---|"]
    for (texts,), found in _groups(rows, "texts"):
        cosine, above = (_mean(row[name] for row in found) for name in ("cosine to direction", "share above 0.3"))
        lines.append(f"| {texts} | {len(found)} | {cosine} | {float(above):.1%} |")
    return "\n".join(lines)


def _probes(rows: Sequence[Row]) -> str:
    if not rows:
        return ""
    lines = ["| pre-trained with | probe on | labels | accuracy | images tested |", "|---|---|---|---|---|"]
    for row in rows:
        lines.append(
            f"| {row['encoder']} | {row['features']} | {row['labels']} | {row['accuracy']:.3f} | {row['tested']} |"
        )
    return "\n".join(lines)


def _naturalness(rows: Sequence[Row]) -> str:
    if not rows:
        return ""
    lines = [
        "| texts | keys | perplexity, median | of the sentences alone | ratio | below their 95 % quantile |",
        "|---|---|---|---|---|---|",
    ]
    for (texts,), found in _groups(rows, "texts"):
        figures = (
            _mean(row[name] for row in found) for name in ("perplexity", "perplexity of the sentences alone", "ratio")
        )
        below = _mean(row["share below the sentences' 95 % quantile"] for row in found)
        lines.append(f"| {texts} | {len(found)} | {' | '.join(figures)} | {float(below):.0%} |")
    return "\n".join(lines)


def _sizes(rows: Sequence[Row]) -> str:
    if not rows:
        return ""
    lines = [
        "| method | encoder | seen as | keys (pools) | p <= .05 | p <= .01 | p <= .001 | least p |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for (method, suspect, access), found in _groups(rows, "method", "suspect", "access"):
        shares = " | ".join(str(sum(row["p_value"] <= level for row in found)) for level in LEVELS)
        lines.append(
            f"| {method} | {suspect} | {NAMES[access]} | {len(found)} ({len({row['pool'] for row in found})}) | "
            f"{shares} | {min(row['p_value'] for row in found):.1e} |"
        )
    return "\n".join(lines)


def _groups(rows: Iterable[Row], *names: str) -> list[tuple[tuple[Any, ...], list[Row]]]:
    """Returns the rows by the values of these columns, in the order in which each first occurs."""
    found: dict[tuple[Any, ...], list[Row]] = {}
    for row in rows:
        found.setdefault(tuple(row[name] for name in names), []).append(row)
    return list(found.items())


def _mean(values: Iterable[float | None]) -> str:
    known = [value for value in values if value is not None]
    return f"{sum(known) / len(known):.3f}" if known else "-"
