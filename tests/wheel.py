"""Build a wheel, install it in a new virtual environment, and explain something there.

Run by ``make test-wheel``; arguments go to pip.
"""

import subprocess
import sys
import tempfile
import venv
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

USE = """
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
import skcf
X, y = load_iris(return_X_y=True)
model = LogisticRegression(max_iter=1000).fit(X, y)
explainer = skcf.NearestExplainer(model, target_class=2).fit(X, model.predict(X))
assert (model.predict(explainer.transform(X)) == 2).all()
assert "site-packages" in skcf.__file__, skcf.__file__
"""


def main(pip_arguments):
    """Build, look inside, install, use."""
    with tempfile.TemporaryDirectory() as folder:
        pip = [sys.executable, "-m", "pip", "-q"]
        subprocess.run([*pip, "wheel", "--no-deps", "-w", folder, str(ROOT)], check=True)
        (wheel,) = Path(folder).glob("skcf-*.whl")
        names = zipfile.ZipFile(wheel).namelist()
        strangers = [n for n in names if not n.startswith(("skcf/", "skcf-"))]
        assert not strangers, f"the wheel ships {strangers}"
        assert "skcf/py.typed" in names
        venv.create(Path(folder) / "venv", with_pip=True)
        python = str(Path(folder) / "venv" / "bin" / "python")
        constraints = ["-c", str(ROOT / "constraints.txt")]
        install = [python, "-m", "pip", "-q", "install", *pip_arguments, *constraints, str(wheel)]
        subprocess.run(install, check=True)
        subprocess.run([python, "-c", USE], check=True, cwd=folder)
    sys.stdout.write("wheel: built, installed and used\n")


if __name__ == "__main__":
    main(sys.argv[1:])
