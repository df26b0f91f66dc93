"""CounterfactualRL of alibi (no dependency of skcf) on a table, in a process of its own.

Imported by a benchmark it hands a task over in an npz file; run as a script, by a Python that has
alibi and TensorFlow, it answers one: ``$ALIBI_PYTHON benchmarks/_latent_alibi.py TASK RESULT``.
The settings are those of alibi's documented example on Adult.
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from _alibi import ONE_THREAD, PYTHON

__all__ = ["run_cfrl"]

EPOCHS, HIDDEN, LATENT = 25, 128, 15
SPARSITY, CONSISTENCY, STEPS, BATCH = 0.5, 0.5, 10_000, 100


def run_cfrl(task):
    """Have alibi train and explain.

    Parameters
    ----------
    task : dict of ndarray
        X_train, X: numbers as they are, then codes of categories. n_values: of each category.
        low, high: of the numbers, which the classifier takes from 0 to 1. w0, b0, w1, ...: its
        layers. n_alone: rows to explain by themselves, too. steps, seed: of the training. target:
        0 or 1.

    Returns
    -------
    dict of ndarray
        X_cf. trained, together, alone: CPU seconds, of all training, a row of all, and a row by
        itself. proba: of the target, for X.

    Raises
    ------
    RuntimeError
        With what alibi said.
    """
    with tempfile.TemporaryDirectory() as folder:
        asked, answered = Path(folder, "task.npz"), Path(folder, "result.npz")
        np.savez(asked, **task)
        done = subprocess.run(
            [PYTHON, __file__, str(asked), str(answered)],
            env={**os.environ, **ONE_THREAD},
            check=False,
            capture_output=True,
            text=True,
        )
        if done.returncode:
            raise RuntimeError(f"alibi failed:\n{done.stderr[-3000:]}")
        with np.load(answered) as arrays:
            return dict(arrays)


def _answer(task):
    """What `run_cfrl` returns; runs in the other Python."""
    import tensorflow as tf

    tf.get_logger().setLevel(40)
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    tf.keras.utils.set_random_seed(int(task["seed"]))
    predict = _predictor(task)
    start = time.process_time()
    explainer = _trained(tf, task, predict)
    trained = time.process_time() - start
    target, X = np.array([int(task["target"])]), task["X"]
    explainer.explain(X[:2], target, [])
    X_cf, together = _explained(explainer, X, target)
    one_by_one = [_explained(explainer, row[None], target)[1] for row in X[: int(task["n_alone"])]]
    return {
        "X_cf": X_cf,
        "trained": trained,
        "together": together,
        "alone": np.median(one_by_one),
        "proba": predict(X)[:, int(task["target"])],
    }


def _explained(explainer, X, target):
    start = time.process_time()
    explanation = explainer.explain(X, target, [], batch_size=BATCH)
    seconds = time.process_time() - start
    return np.asarray(explanation.data["cf"]["X"], dtype=float), seconds / len(X)


def _predictor(task):
    """The classifier, of rows of numbers and codes: probabilities of both classes."""
    n, sizes = len(task["low"]), task["n_values"]
    span = np.where(task["high"] > task["low"], task["high"] - task["low"], 1.0)
    layers = [(task[f"w{i}"], task[f"b{i}"]) for i in range(sum(k[0] == "w" for k in task))]

    def predict(X):
        X = np.asarray(X, dtype=float)
        codes = [np.eye(size)[X[:, n + j].astype(int)] for j, size in enumerate(sizes)]
        out = np.hstack([(X[:, :n] - task["low"]) / span, *codes])
        for weights, intercepts in layers[:-1]:
            out = np.maximum(out @ weights + intercepts, 0)
        p = 1 / (1 + np.exp(-(out @ layers[-1][0] + layers[-1][1])[:, 0]))
        return np.column_stack([1 - p, p])

    return predict


def _trained(tf, task, predict):
    """Autoencoder and explainer, as in the documented example."""
    from alibi.explainers import CounterfactualRLTabular
    from alibi.explainers.backends.cfrl_tabular import get_he_preprocessor

    X, n, sizes = task["X_train"], len(task["low"]), [int(size) for size in task["n_values"]]
    names = [f"f{j}" for j in range(X.shape[1])]
    values = {n + j: [str(value) for value in range(size)] for j, size in enumerate(sizes)}
    there, back = get_he_preprocessor(
        X=X, feature_names=names, category_map=values, feature_types=dict.fromkeys(names[:n], int)
    )
    autoencoder = _autoencoder(tf, there(X).astype(np.float32), X, n, sizes)
    explainer = CounterfactualRLTabular(
        predictor=predict,
        encoder=autoencoder.encoder,
        decoder=autoencoder.decoder,
        latent_dim=LATENT,
        encoder_preprocessor=there,
        decoder_inv_preprocessor=back,
        coeff_sparsity=SPARSITY,
        coeff_consistency=CONSISTENCY,
        category_map=values,
        feature_names=names,
        train_steps=int(task.get("steps", STEPS)),
        batch_size=BATCH,
        backend="tensorflow",
        seed=int(task["seed"]),
    )
    return explainer.fit(X=X)


def _autoencoder(tf, rows, X, n, sizes):
    """Heterogeneous autoencoder of alibi."""
    from alibi.models.tensorflow import ADULTDecoder, ADULTEncoder, HeAE

    model = HeAE(
        encoder=ADULTEncoder(hidden_dim=HIDDEN, latent_dim=LATENT),
        decoder=ADULTDecoder(hidden_dim=HIDDEN, output_dims=[n, *sizes]),
    )
    of_categories = tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(
        optimizer=tf.keras.optimizers.Adam(learning_rate=1e-3),
        loss=[tf.keras.losses.MeanSquaredError(), *[of_categories] * len(sizes)],
        loss_weights=[1.0, *[1.0 / len(sizes)] * len(sizes)],
    )
    wanted = {"output_1": rows[:, :n]}
    wanted |= {f"output_{j + 2}": X[:, n + j] for j in range(len(sizes))}
    batches = tf.data.Dataset.from_tensor_slices((rows, wanted)).shuffle(1024)
    model.fit(batches.batch(128, drop_remainder=True), epochs=EPOCHS, verbose=0)
    return model


if __name__ == "__main__":
    with np.load(sys.argv[1]) as arrays:
        result = _answer(dict(arrays))
    np.savez(sys.argv[2], **result)
