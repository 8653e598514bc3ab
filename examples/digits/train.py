"""Train the digit classifier and write its weights, golden files and evaluation.

    pip install 'scikit-learn==1.7.2' 'numpy==2.2.6' 'safetensors==0.8.0'
    python train.py                     # beside an installed modelpack, which makes the shards

The data are the 1797 images of the UCI "Optical Recognition of Handwritten Digits" test set, which
scikit-learn carries; nothing else of scikit-learn is used. The seed is fixed: the same versions on
the same machine give the same weights.
"""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
from safetensors.numpy import save, save_file
from sklearn.datasets import load_digits

HERE = Path(__file__).resolve().parent
WEIGHTS = HERE / "weights"
LABELS = [str(digit) for digit in range(10)]
PIXELS, HIDDEN, BRIGHTEST = 64, 32, 16
SEED, EPOCHS, BATCH, RATE, DECAY = 20240131, 150, 32, 2e-3, 1e-4
HELD_OUT = 360
GOLDEN = 10

Parameters = dict[str, np.ndarray]


def main() -> None:
    """Train on all but the held-out images, then write everything."""
    random = np.random.default_rng(SEED)
    images, truth = load_digits(return_X_y=True)
    order = random.permutation(len(images))
    test, train = order[:HELD_OUT], order[HELD_OUT:]
    trained = fit(images[train] / BRIGHTEST, truth[train], random)
    parameters = {name: value.astype(np.float32) for name, value in trained.items()}
    write_weights(parameters)
    write_golden(parameters, images[test], truth[test])
    write_evaluation(parameters, images[test], truth[test])


def fit(x: np.ndarray, y: np.ndarray, random: np.random.Generator) -> Parameters:
    """Minimise the cross entropy with Adam (Kingma and Ba 2014) and decoupled weight decay."""
    values = {
        "hidden.weight": random.normal(0, (2 / PIXELS) ** 0.5, (PIXELS, HIDDEN)),
        "hidden.bias": np.zeros(HIDDEN),
        "output.weight": random.normal(0, (1 / HIDDEN) ** 0.5, (HIDDEN, len(LABELS))),
        "output.bias": np.zeros(len(LABELS)),
    }
    first = {name: np.zeros_like(value) for name, value in values.items()}
    second = {name: np.zeros_like(value) for name, value in values.items()}
    step = 0
    for _ in range(EPOCHS):
        order = random.permutation(len(x))
        for start in range(0, len(x), BATCH):
            step += 1
            rows = order[start : start + BATCH]
            for name, slope in gradients(values, x[rows], y[rows]).items():
                first[name] = 0.9 * first[name] + 0.1 * slope
                second[name] = 0.999 * second[name] + 0.001 * slope**2
                mean, variance = first[name] / (1 - 0.9**step), second[name] / (1 - 0.999**step)
                values[name] -= RATE * (mean / (variance**0.5 + 1e-8) + DECAY * values[name])
    return values


def gradients(values: Parameters, x: np.ndarray, y: np.ndarray) -> Parameters:
    """Return the slope of the mean cross entropy for each parameter."""
    hidden = np.maximum(x @ values["hidden.weight"] + values["hidden.bias"], 0)
    error = softmax(hidden @ values["output.weight"] + values["output.bias"])
    error[np.arange(len(y)), y] -= 1
    error /= len(y)
    below = (error @ values["output.weight"].T) * (hidden > 0)
    return {
        "hidden.weight": x.T @ below,
        "hidden.bias": below.sum(axis=0),
        "output.weight": hidden.T @ error,
        "output.bias": error.sum(axis=0),
    }


def softmax(x: np.ndarray) -> np.ndarray:
    """Return the softmax of each row."""
    x = np.exp(x - x.max(axis=1, keepdims=True))
    return x / x.sum(axis=1, keepdims=True)


def predict(parameters: Parameters, images: np.ndarray) -> np.ndarray:
    """Return the probabilities, computed in double precision from the weights as they are kept."""
    values = {name: value.astype(np.float64) for name, value in parameters.items()}
    hidden = images / BRIGHTEST @ values["hidden.weight"] + values["hidden.bias"]
    return softmax(np.maximum(hidden, 0) @ values["output.weight"] + values["output.bias"])


def write_weights(parameters: Parameters) -> None:
    """Write two shards, their index and the configuration."""
    WEIGHTS.mkdir(exist_ok=True)
    config = {"architecture": "mlp", "brightest": BRIGHTEST, "labels": LABELS, "pixels": PIXELS}
    write_json(WEIGHTS / "config.json", config)
    whole = WEIGHTS / "model.safetensors"
    save_file(parameters, whole, metadata={"format": "np"})
    command = [sys.executable, "-m", "modelpack", "shard", str(whole), "--parts", "2", "--force"]
    subprocess.run(command, check=True)
    whole.unlink()


def write_golden(parameters: Parameters, images: np.ndarray, truth: np.ndarray) -> None:
    """Write the first held-out image of each digit with the true answers, together and alone."""
    rows = [int(np.flatnonzero(truth == digit)[0]) for digit in range(GOLDEN)]
    write_case("all-digits.json", images[rows], predict(parameters, images[rows]))
    write_case("one-digit.json", images[rows[3:4]], predict(parameters, images[rows[3:4]]))
    write_tensors(images[rows], predict(parameters, images[rows]))
    edges = np.array([np.zeros(PIXELS), np.full(PIXELS, BRIGHTEST), np.arange(PIXELS) / 4])
    write_case("edges.json", edges, predict(parameters, edges))


def write_case(name: str, images: np.ndarray, rows: np.ndarray) -> None:
    """Write one golden file: a request and the answer that is right."""
    predictions = [
        {"label": LABELS[row.argmax()], "probabilities": [round(float(p), 9) for p in row]}
        for row in rows
    ]
    document = {
        "request": {"method": "POST", "path": "/predict", "json": {"images": images.tolist()}},
        "response": {"status": 200, "json": {"predictions": predictions, "model": "digits"}},
        "tolerance": {"absolute": 1e-5},
        "ranges": {"/predictions/*/probabilities/*": [0, 1]},
        "batch": {"input": "/images", "output": "/predictions"},
    }
    path = HERE / "golden" / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(document, separators=(",", ":")) + "\n", "utf-8")


def write_tensors(images: np.ndarray, rows: np.ndarray) -> None:
    """Write the same as tensors: as the body of a request, as arguments, and in JSON by name."""
    folder = HERE / "golden" / "tensors"
    folder.mkdir(exist_ok=True)
    answers = {"probabilities": rows.astype(np.float32), "best": rows.argmax(axis=1)}
    (folder / "images.safetensors").write_bytes(save({"images": images.astype(np.float32)}))
    (folder / "answers.safetensors").write_bytes(save(answers))
    same = {
        "tolerance": {"absolute": 1e-5},
        "ranges": {"/probabilities": [0, 1]},
        "batch": {"input": "/images", "output": ["/probabilities", "/best"]},
    }
    body = {
        "request": {"path": "/predict", "tensors": "images.safetensors"},
        "response": {"tensors": "answers.safetensors"},
    }
    named, all_of = {"$tensor": "images.safetensors#images"}, {"$tensors": "answers.safetensors"}
    call = {
        "request": {"call": "service.library:classify", "arguments": {"images": named}},
        "response": {"returns": all_of},
    }
    json_body = {
        "request": {"path": "/predict", "json": {"images": named}},
        "response": {"status": 200},
        "ranges": {"/predictions/*/probabilities/*": [0, 1]},
    }
    write_json(folder / "body.json", {**body, **same})
    write_json(folder / "call.json", {**call, **same})
    write_json(folder / "json.json", json_body)


def write_evaluation(parameters: Parameters, images: np.ndarray, truth: np.ndarray) -> None:
    """Write what the model reaches on the images that it has not seen."""
    rows = predict(parameters, images)
    right = rows.argmax(axis=1) == truth
    report = {
        "dataset": f"{HELD_OUT} held-out images of the UCI optical digits",
        "samples": HELD_OUT,
        "accuracy": round(float(right.mean()), 6),
        "log_loss": round(float(-np.log(rows[np.arange(len(truth)), truth]).mean()), 6),
        "worst_recall": round(min(float(right[truth == digit].mean()) for digit in range(10)), 6),
    }
    write_json(HERE / "evaluation.json", report)


def write_json(path: Path, value: object) -> None:
    """Write JSON for people and diffs."""
    path.write_text(json.dumps(value, indent=2, sort_keys=True) + "\n", "utf-8")


if __name__ == "__main__":
    main()
