"""The whole story on small real data, one for each method that trains: owner, key, mark, suspects, cases, reports."""

from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path

from forensics.bench.results import single_thread
from forensics.demo.stage import Examined, Stage
from forensics.errors import UsageError
from forensics.progress import Progress, silent

__all__ = ["STORIES", "Examined", "run_demo"]

STORIES: Mapping[str, str] = {
    "ofsw": "handwritten digits: an image classifier, copied, compressed, and an independent one",
    "ksl": "handwritten digits: an image classifier, a model trained on its answers, and an honest one",
    "ksl-text": "dictionary glosses: a text classifier, a model trained on its answers, and an honest one",
    "t2s": "handwritten digits: an image classifier with trigger sets, a thief's model, and an honest one",
    "tmrw": "English text: a text encoder, and classifiers that others trained on it",
    "wpe": "handwritten digits: an image encoder, and classifiers that others trained on it",
}
"""Method -> what its story is about; each lies in a file of the method's name, an underscore for a hyphen."""


def run_demo(
    out: Path, say: Callable[[str], None], progress: Progress = silent, method: str = "ofsw"
) -> list[Examined]:
    """Runs what is not there yet; interrupted, it goes on where it stopped.

    Args:
        out: folder for everything that is made; one story a folder.
        say: gets one line a step of the story.
        method: a key of `STORIES`.

    Raises:
        UsageError: there is no such story, the folder holds another one, or a package that it needs was not fetched.
    """
    if method not in STORIES:
        raise UsageError(f"There is no demonstration of '{method}'.", f"Choose one of: {', '.join(STORIES)}.")
    if out.exists() and not out.is_dir():
        raise UsageError(f"{out} is a file, not a folder.", "Choose another --out.")
    single_thread()
    told: list[Examined] = import_module(f"forensics.demo.{method.replace('-', '_')}").tell(Stage(out, say, progress))
    return told
