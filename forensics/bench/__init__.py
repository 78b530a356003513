"""Commands that make the tables and figures of the documentation."""

BENCHES = {
    "digits": "OFSW on handwritten digits: accuracy, survival, null over fresh keys",
    "encoders": "TMRW and WPE: task migration, attacks, what a mark costs, innocents, sizes",
    "encoding": "MiniLM in torch and in onnxruntime, texts sorted by length and as they come",
    "extraction": "keyed soft labels on Fashion-MNIST: what they cost, thieves who ask, innocents, sizes",
    "languagemodels": "OFSW in a GPT-2 trained here: perplexity, survival, innocents",
    "ofsw": "OFSW on Fashion-MNIST: accuracy, thieves who fight back, the regulariser, innocents",
    "proxy": "what `protect serve` adds to an embedding service's latency, and what it costs",
    "served": "a copy trained on marked vectors, as a folder and behind a server that is not ours",
    "services": "ESpeW: two thieves, their attacks, innocents, sizes, cost",
    "settings": "how OFSW's recipe was chosen, on development keys",
    "shares": "three shares of an OFSW key in one model, and a thief who saw the first opened",
    "speed": "start of the command line, examination against a bare forward pass",
    "tamper": "altered cases and reports against `check`, beside pdfsig, openssl and sha256sum",
    "throughput": "questions to a remote suspect, with journal, against a bare HTTP client",
}
"""Name and summary of every bench; `bench/<name>.py` offers `run`."""
