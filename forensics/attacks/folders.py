"""Attacks from a model folder to a model folder: image classifiers, and encoders of images or texts without a head."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from forensics.attacks import ATTACKS, run_attack
from forensics.attacks.compression import fp16, prune, quantise
from forensics.attacks.encoders import Distillation, distil, fresh_student, reset_words
from forensics.attacks.extraction import FIXED, Theft, ask, extract, learn, regress_out
from forensics.attacks.migration import IMAGES, TEXTS, Settings, Way, migrate
from forensics.attacks.opened import SETTINGS, OpenedShare, unlearn
from forensics.attacks.stolen import StolenEncoder, TextEncoder, embed, image_encoder, open_text_encoder
from forensics.attacks.students import is_saved
from forensics.attacks.tasks import Task, load_texts
from forensics.attacks.textextraction import extract_texts
from forensics.checkpoints import Classifier, load_classifier, read_identity, save_folder
from forensics.encoders import FAMILIES, read_encoder_identity
from forensics.errors import UsageError
from forensics.imageencoders import load_image_encoder
from forensics.modelfiles import open_model_folder, take_config
from forensics.progress import Progress, silent
from forensics.textclassifiers import load_text_classifier
from forensics.training.data import load_images, load_plain_images

Kind = Literal["image classifier", "image encoder", "text encoder"]
Setting = float | str
"""A number, or a word where the default is one."""
_WAYS: Mapping[str, Way] = {"migrate": "full", "migrate-head": "head", "migrate-last": "last", "migrate-lora": "lora"}


@dataclass(frozen=True)
class FolderAttack:
    """An attack by name.

    Attributes:
        summary: what the thief does.
        settings: for each kind of model that it can be used on, names and defaults.
        needs: the folder that it needs beside the model's: `data`, `base` (a public model), or none.
        opened: whether it needs opened shares of a key as well.
    """

    summary: str
    settings: Mapping[Kind, Mapping[str, Setting]]
    needs: Literal["data", "base", ""] = ""
    opened: bool = False


def _migration(way: Way) -> dict[Kind, Mapping[str, Setting]]:
    def defaults(table: Mapping[Way, Settings]) -> dict[str, Setting]:
        settings = table[way]
        own = {"last": {"last": settings.last}, "lora": {"rank": settings.rank}}.get(way, {})
        return {"epochs": settings.epochs, "learning-rate": settings.learning_rate, **own, "seed": 0}

    found: dict[Kind, Mapping[str, Setting]] = {"text encoder": defaults(TEXTS)}
    if way in IMAGES:
        found["image classifier"] = found["image encoder"] = defaults(IMAGES)
    return found


_EXTRACT: Mapping[str, Setting] = {
    **{name.replace("_", "-"): value for name, value in vars(Theft()).items()},
    "regress-out": 0,
}
_EXTRACT_TEXTS: Mapping[str, Setting] = {
    "answers": "soft",
    "way": "full",
    "regress-out": 0,
    "epochs": 3,
    "learning-rate": TEXTS["full"].learning_rate,
    "seed": 0,
}
_DISTIL: Mapping[str, Setting] = {"epochs": 3, "learning-rate": 5e-4, "seed": 0}
FOLDER_ATTACKS: Mapping[str, FolderAttack] = {
    "finetune": FolderAttack(
        ATTACKS["finetune"].summary, {"image classifier": ATTACKS["finetune"].settings}, needs="data"
    ),
    "overwrite": FolderAttack(
        ATTACKS["overwrite"].summary, {"image classifier": ATTACKS["overwrite"].settings}, needs="data"
    ),
    **{
        name: FolderAttack(
            ATTACKS[name].summary,
            dict.fromkeys(("image classifier", "image encoder", "text encoder"), ATTACKS[name].settings),
        )
        for name in ("prune", "quantise", "fp16")
    },
    "migrate": FolderAttack("train all layers for a new task, with a fresh head", _migration("full"), "data"),
    "migrate-head": FolderAttack("train a head on the frozen encoder for a new task", _migration("head"), "data"),
    "migrate-last": FolderAttack("train head and last layers for a new task", _migration("last"), "data"),
    "migrate-lora": FolderAttack("train low-rank parts for a new task and merge them", _migration("lora"), "data"),
    "distil": FolderAttack(
        "train an encoder from other first weights on the stolen one's vectors (layers 0: as many as it has)",
        {"text encoder": {**_DISTIL, "layers": 0}, "image encoder": {**_DISTIL, "epochs": 10}},
        "data",
    ),
    "extract": FolderAttack(
        "train a model from other first weights on the stolen one's answers (images; regress-out 7: without what the "
        "brightness of 7 x 7 cells predicts), or a public encoder (--base) with a fresh head (texts; regress-out 32: "
        "without what so many coordinates of the words predict)",
        {"image classifier": _EXTRACT, "text encoder": _EXTRACT_TEXTS},
        "data",
    ),
    "reset-words": FolderAttack(
        "put a public model's word vectors back where they differ", {"text encoder": {"least": 1e-6}}, "base"
    ),
    "unlearn": FolderAttack(
        "train away the mark of shares that were opened in court", {"image classifier": SETTINGS}, "data", opened=True
    ),
}


def attack_folder(
    name: str,
    model: Path,
    out: Path,
    *,
    data: Path | None = None,
    base: Path | None = None,
    opened: Sequence[OpenedShare] = (),
    settings: Mapping[str, Setting],
    progress: Progress = silent,
) -> str:
    """Runs an attack on a folder and writes the attacked model.

    Args:
        out: must not exist; it appears whole or not at all.
        data: labelled images, or texts with labels where the attack needs them.
        base: a public model's folder.
        opened: shares of the owner's key that the thief has seen opened.
        settings: overrides of the attack's defaults.

    Returns:
        the digest of the attacked model's files.

    Raises:
        UsageError: the attack or a setting does not exist or does not suit the model, or a folder is missing.
        ModelError: the model may not be loaded.
    """
    if name not in FOLDER_ATTACKS:
        raise UsageError(f"There is no attack '{name}'.", f"Choose one of: {', '.join(sorted(FOLDER_ATTACKS))}.")
    attack, kind = FOLDER_ATTACKS[name], _kind(model)
    if kind not in attack.settings:
        raise UsageError(f"'{name}' is no attack on this {kind}.", f"It is one on: {', '.join(attack.settings)}.")
    unknown = sorted(set(settings) - set(attack.settings[kind]))
    if unknown:
        known = ", ".join(attack.settings[kind]) or "none"
        raise UsageError(f"'{name}' has no setting '{unknown[0]}'.", f"Its settings: {known}.")
    for key in sorted(settings):
        _require_usable(key, settings[key], isinstance(attack.settings[kind][key], str))
    if attack.needs and {"data": data, "base": base}[attack.needs] is None:
        what = "trains and needs data" if attack.needs == "data" else "compares and needs a public model"
        raise UsageError(f"'{name}' {what}.", f"Name a folder with --{attack.needs}.")
    if attack.opened and not opened:
        raise UsageError(f"'{name}' needs a share that was opened.", "Name an opened case with --case.")
    card = f"# {model.resolve().name} after {name}\n"
    everything = {**attack.settings[kind], **settings}
    chosen = {key: value for key, value in everything.items() if not isinstance(value, str)}
    if name == "extract":
        words = {key: value for key, value in everything.items() if isinstance(value, str)}
        if kind == "text encoder":
            _extract_texts(model, out, _given(data), base, chosen, words, card, progress)
        else:
            _extract(model, out, _given(data), chosen, words, card, progress)
    elif kind == "text encoder":
        _attack_texts(name, model, out, data, base, chosen, card, progress)
    else:
        _attack_images(name, kind, model, out, data, opened, chosen, card, progress)
    return read_identity(out).digest


def _extract(
    model: Path,
    out: Path,
    data: Path,
    chosen: Mapping[str, float],
    words: Mapping[str, str],
    card: str,
    progress: Progress,
) -> None:
    theft = Theft(
        words["queries"],
        words["answers"],
        words["student"],
        int(chosen["steps"]),
        int(chosen["batch"]),
        chosen["learning-rate"],
        int(chosen["seed"]),
    )
    if not is_saved(theft.student):
        raise UsageError(
            f"A student '{theft.student}' cannot be saved as a model folder.",
            "Choose same, smaller or vit; the others exist in memory only (forensics.attacks.extraction).",
        )
    teacher, images, cells = load_classifier(model), list(load_plain_images(data)), int(chosen["regress-out"])
    if cells:
        if theft.queries not in FIXED:
            raise UsageError("regress-out needs queries that stay the same.", f"Choose one of: {', '.join(FIXED)}.")
        wanted = regress_out(images, ask(teacher, images, theft.answers), cells)
        student = learn(teacher, images, wanted, theft, progress)
    else:
        student = extract(teacher, images, theft, progress)
    save_folder(out, card, student.model, student.processor.save_pretrained)


def _extract_texts(
    model: Path,
    out: Path,
    data: Path,
    base: Path | None,
    chosen: Mapping[str, float],
    words: Mapping[str, str],
    card: str,
    progress: Progress,
) -> None:
    ways = ("full", "head")
    if words["way"] not in ways:
        raise UsageError(f"There is no way '{words['way']}' to extract.", f"Choose one of: {', '.join(ways)}.")
    if base is None:
        raise UsageError(
            "Extraction of a text classifier starts from a public encoder.", "Name its folder with --base."
        )
    settings = replace(
        TEXTS["head" if words["way"] == "head" else "full"],
        epochs=int(chosen["epochs"]),
        learning_rate=chosen["learning-rate"],
    )
    teacher, texts, start = load_text_classifier(model), load_texts(data).inputs, open_text_encoder(base)
    extract_texts(
        teacher,
        texts,
        start,
        settings,
        answers=words["answers"],
        regress_out=int(chosen["regress-out"]),
        seed=int(chosen["seed"]),
        progress=progress,
    ).save(out, card)


def _attack_texts(
    name: str,
    model: Path,
    out: Path,
    data: Path | None,
    base: Path | None,
    chosen: Mapping[str, float],
    card: str,
    progress: Progress,
) -> None:
    encoder = open_text_encoder(model)
    if name in _WAYS:
        _migrate(name, encoder, load_texts(_given(data)), chosen, out, card, progress)
        return
    if name == "distil":
        layers = {"num_hidden_layers": int(chosen["layers"])} if chosen["layers"] >= 1 else {}
        encoder = _distilled(encoder, load_texts(_given(data)).inputs, layers, chosen, progress)
    elif name == "reset-words":
        reset_words(encoder.model, open_text_encoder(_given(base)).model, chosen["least"])
    else:
        _compress(name, encoder.model, chosen)
    beside = [path for path in read_encoder_identity(model).files if not _is_model(path)]

    def copy_beside(fresh: Path) -> None:
        for path in beside:
            (fresh / path).parent.mkdir(exist_ok=True)
            (fresh / path).write_bytes((model / path).read_bytes())

    save_folder(out, card, encoder.model, copy_beside)


def _attack_images(
    name: str,
    kind: Kind,
    model: Path,
    out: Path,
    data: Path | None,
    opened: Sequence[OpenedShare],
    chosen: Mapping[str, float],
    card: str,
    progress: Progress,
) -> None:
    loaded = load_classifier(model) if kind == "image classifier" else load_image_encoder(model)
    labels = loaded.labels if isinstance(loaded, Classifier) else ()
    images = load_images(data, labels) if data else None
    whole = loaded.model
    if name in _WAYS:
        _migrate(name, image_encoder(loaded), Task.of_images(_given(images)), chosen, out, card, progress)
        return
    if name == "distil":
        whole = _distilled(image_encoder(loaded), _given(images).images, {}, chosen, progress).model
    elif isinstance(loaded, Classifier):
        if name == "unlearn":
            unlearn(loaded, _given(images), opened, chosen, progress)
        else:
            run_attack(name, loaded, images, chosen, progress)
    else:
        _compress(name, whole, chosen)
    save_folder(out, card, whole, loaded.processor.save_pretrained)


def _migrate(
    name: str,
    encoder: StolenEncoder,
    task: Task,
    chosen: Mapping[str, float],
    out: Path,
    card: str,
    progress: Progress,
) -> None:
    way = _WAYS[name]
    usual = (TEXTS if isinstance(encoder, TextEncoder) else IMAGES)[way]
    settings = replace(
        usual,
        epochs=int(chosen["epochs"]),
        learning_rate=chosen["learning-rate"],
        last=int(chosen.get("last", usual.last)),
        rank=int(chosen.get("rank", usual.rank)),
    )
    seed = int(chosen["seed"])
    migrate(encoder, task, settings, seed=seed, head="library", progress=progress).save(out, card)


def _distilled(
    encoder: Any, inputs: Any, changes: dict[str, Any], chosen: Mapping[str, float], progress: Progress
) -> Any:
    seed = int(chosen["seed"])
    student = fresh_student(encoder, seed, **changes)
    settings = Distillation(int(chosen["epochs"]), chosen["learning-rate"])
    distil(student, inputs, embed(encoder, inputs), settings, seed=seed, progress=progress)
    return student


def _compress(name: str, model: Any, chosen: Mapping[str, float]) -> None:
    if name == "prune":
        prune(model, chosen["share"])
    elif name == "quantise":
        quantise(model, int(chosen["bits"]))
    else:
        fp16(model)


def _kind(folder: Path) -> Kind:
    with open_model_folder(folder) as opened:
        config = take_config(opened)
    if config.get("model_type") in tuple(FAMILIES):
        return "text encoder"
    names = config.get("architectures")
    if isinstance(names, list) and names and not any(str(each).endswith("ForImageClassification") for each in names):
        return "image encoder"
    return "image classifier"


def _is_model(path: str) -> bool:
    return path == "config.json" or path.endswith((".safetensors", ".safetensors.index.json", ".onnx"))


def _require_usable(name: str, value: Setting, word: bool) -> None:
    if isinstance(value, str) if word else not isinstance(value, str) and 0.0 <= value < 1e9:
        return
    raise UsageError(
        f"A setting '{name}' of {value} cannot be used.", f"Give a {'word' if word else 'number from 0 on'}."
    )


def _given(value: Any) -> Any:
    assert value is not None
    return value
