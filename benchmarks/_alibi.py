"""CounterfactualProto of alibi (no dependency of skcf), in a process of its own.

Imported by a benchmark it hands tasks over; run as a script, by a Python that has alibi and
TensorFlow, it answers one: ``$ALIBI_PYTHON benchmarks/_alibi.py TASK RESULT``.
"""

import os
import pickle
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

PYTHON = os.environ.get("ALIBI_PYTHON", "/tmp/dev/alibi/bin/python")
ONE_THREAD = {
    **dict.fromkeys(
        (
            "OMP_NUM_THREADS",
            "OPENBLAS_NUM_THREADS",
            "MKL_NUM_THREADS",
            "TF_NUM_INTRAOP_THREADS",
            "TF_NUM_INTEROP_THREADS",
        ),
        "1",
    ),
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "CUDA_VISIBLE_DEVICES": "-1",
}
FIXED = {"kappa": 0.0, "beta": 0.1, "learning_rate_init": 0.01, "max_iterations": 1000}
PROTOTYPES = {"theta": 100.0, "use_kdtree": True}
LOSSES = {  # of the paper, Eq. 16; alibi leaves L_pred out where c starts at 0 and is not searched
    "A": {**FIXED, "theta": 0.0, "c_init": 1.0, "c_steps": 1},
    "B": {**FIXED, **PROTOTYPES, "c_init": 1.0, "c_steps": 1},
    "C": {**FIXED, **PROTOTYPES, "c_init": 0.0, "c_steps": 1},
    "A, c searched": {**FIXED, "theta": 0.0, "c_init": 1.0, "c_steps": 10},
    "B, c searched": {**FIXED, **PROTOTYPES, "c_init": 1.0, "c_steps": 10},
}


def alibi_or_why_not():
    """None where alibi can be run; else why not, which is printed, too."""
    try:
        subprocess.run(
            [PYTHON, "-c", "import alibi.explainers, tensorflow"],
            env={**os.environ, **ONE_THREAD},
            check=True,
            capture_output=True,
        )
    except (OSError, subprocess.CalledProcessError) as error:
        why_not = f"{PYTHON}: {type(error).__name__}"
        print(f"alibi is not run: {why_not}\n")
        return why_not
    return None


def run_alibi(task):
    """Have alibi explain rows, each by itself, as it does.

    Parameters
    ----------
    task : dict
        X_train, X : ndarray, rows to fit on and to explain. Either `layers`, weights and
        intercepts of a rectifier network, handed to alibi as a Keras model (white box); or
        `forest`, a dict of parameters of scikit-learn's random forest, which the other side fits
        to X_train and `y_train`, and which alibi knows as a function (black box). `settings`,
        `fit` and `explain`: what CounterfactualProto, its fit and its explain are given.
        `seed`: of numpy and TensorFlow.

    Returns
    -------
    dict
        X_cf : ndarray, a row without a counterfactual is NaN. found : ndarray of bool. seconds :
        ndarray, CPU time of each row. ready : CPU seconds of alibi's constructor and fit; imports
        and the model are not counted. proba : ndarray, what its model says of X. settings : dict.
        n_improved : ndarray, how often a better counterfactual was met. raised : list of str.
    """
    with tempfile.TemporaryDirectory() as folder:
        asked, answered = Path(folder, "task.pickle"), Path(folder, "result.pickle")
        asked.write_bytes(pickle.dumps(task))
        done = subprocess.run(
            [PYTHON, __file__, str(asked), str(answered)],
            env={**os.environ, **ONE_THREAD},
            check=False,
            capture_output=True,
            text=True,
        )
        if done.returncode:
            raise RuntimeError(f"alibi failed:\n{done.stderr[-3000:]}")
        return pickle.loads(answered.read_bytes())


def _answer(task):
    """What `run_alibi` returns; runs in the other Python."""
    tf = _tensorflow(task["seed"])
    from alibi.explainers import CounterfactualProto

    model, proba = _network(tf, task) if "layers" in task else _forest(task)
    X = task["X"].astype(np.float32)
    start = time.process_time()
    explainer = CounterfactualProto(model, (1, X.shape[1]), **task["settings"])
    explainer.fit(task["X_train"].astype(np.float32), **task.get("fit", {}))
    ready = time.process_time() - start
    told = [_explain(explainer, row[None], task.get("explain", {})) for row in X]
    return {
        "X_cf": np.array([row for row, *_ in told]),
        "found": np.array([np.isfinite(row).all() for row, *_ in told]),
        "seconds": np.array([seconds for _, seconds, *_ in told]),
        "n_improved": np.array([n_improved for *_, n_improved, _ in told]),
        "raised": [raised for *_, raised in told],
        "ready": ready,
        "proba": proba,
        "settings": {**task["settings"], **task.get("fit", {}), **task.get("explain", {})},
    }


def _explain(explainer, row, parameters):
    """Counterfactual of a row or NaN, CPU seconds, how often one was met, what was raised."""
    start, raised, cf, n_improved = time.process_time(), "", None, 0
    try:
        explanation = explainer.explain(row, **parameters)
    except Exception as error:
        raised = f"{type(error).__name__}: {error}"
    else:
        cf = explanation.cf
        n_improved = 0 if cf is None else sum(map(len, explanation.all.values()))
    seconds = time.process_time() - start
    X_cf = np.full(row.shape[1], np.nan) if cf is None else np.asarray(cf["X"], dtype=float)[0]
    return X_cf, seconds, n_improved, raised


def _tensorflow(seed):
    """Import TensorFlow as alibi needs it, on one thread."""
    import tensorflow as tf

    tf.get_logger().setLevel(40)
    tf.compat.v1.disable_v2_behavior()
    tf.compat.v1.set_random_seed(seed)
    np.random.seed(seed)  # noqa: NPY002 alibi may draw from the global generator
    config = tf.compat.v1.ConfigProto(
        intra_op_parallelism_threads=1, inter_op_parallelism_threads=1
    )
    tf.compat.v1.keras.backend.set_session(tf.compat.v1.Session(config=config))
    return tf


def _network(tf, task):
    """Keras model of the given layers, and what it says of the rows."""
    dense = tf.keras.layers.Dense
    inputs = out = tf.keras.layers.Input(shape=(task["X"].shape[1],))
    for weights, _ in task["layers"][:-1]:
        out = dense(weights.shape[1], activation="relu")(out)
    out = dense(task["layers"][-1][0].shape[1], activation="softmax")(out)
    model = tf.keras.models.Model(inputs, out)
    model.set_weights([array for layer in task["layers"] for array in layer])
    return model, model.predict(task["X"].astype(np.float32), verbose=0)


def _forest(task):
    """Random forest as a function of rows, and what it says of them."""
    from sklearn.ensemble import RandomForestClassifier

    forest = RandomForestClassifier(n_jobs=1, **task["forest"])
    forest.fit(task["X_train"], task["y_train"])
    return forest.predict_proba, forest.predict_proba(task["X"])


if __name__ == "__main__":
    result = _answer(pickle.loads(Path(sys.argv[1]).read_bytes()))
    Path(sys.argv[2]).write_bytes(pickle.dumps(result))
