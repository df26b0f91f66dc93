"""The networks: repaired architectures fit together, and trained ones move between machines."""

import pickle
import warnings

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.linear_model import LogisticRegression

from skcf import FeatureSpace, GMMLatentExplainer

torch = pytest.importorskip("torch")
pytest.importorskip("skorch")

from skorch.dataset import Dataset  # noqa: E402

from skcf.latent import GMMLatentNet, LatentModule  # noqa: E402
from skcf.latent._codes import CHUNK, Codes, in_chunks  # noqa: E402
from skcf.latent._convolutional import ConvolutionalDecoder, ConvolutionalEncoder  # noqa: E402
from skcf.latent._heads import Heads  # noqa: E402
from skcf.latent._layout import Layout  # noqa: E402
from skcf.latent._modules import dense  # noqa: E402
from skcf.latent._net import Batches  # noqa: E402

PAPERS = {"kernel_size": 2, "stride": 1, "padding": 0}


def sizes_of(module):
    return [
        (layer.in_features, layer.out_features)
        for layer in module
        if isinstance(layer, torch.nn.Linear)
    ]


def test_the_papers_table_encoder_repaired():
    sizes = sizes_of(dense(22, 3, (12, 24, 12, 6)))
    assert sizes == [(22, 12), (12, 24), (24, 12), (12, 6), (6, 3)]


def test_the_papers_convolutions_give_20000_numbers():
    encoder = ConvolutionalEncoder(784, 15, image_shape=(28, 28), **PAPERS)
    assert sizes_of(encoder) == [(20_000, 128), (128, 15)]
    decoder = ConvolutionalDecoder(40, 784, image_shape=(28, 28), **PAPERS)
    assert sizes_of(decoder) == [(40, 128), (128, 32 * 25 * 25)]


@pytest.mark.parametrize("shape", [(28, 28), (8, 8), (3, 13, 9), (1, 5, 6)])
@pytest.mark.parametrize("options", [{}, PAPERS], ids=["stride 2", "paper"])
def test_images_come_out_as_large_as_they_went_in(shape, options):
    n = int(np.prod(shape))
    images = torch.rand(4, n)
    codes = ConvolutionalEncoder(n, 7, image_shape=shape, **options)(images)
    assert codes.shape == (4, 7)
    back = ConvolutionalDecoder(7, n, image_shape=shape, **options)(codes)
    assert back.shape == (4, n)
    assert ((back >= 0) & (back <= 1)).all()


def test_a_last_batch_of_one_row_goes_with_the_one_before():
    data = Dataset(torch.arange(7.0)[:, None], torch.arange(7))
    for n_rows, sizes in ((7, [3, 4]), (6, [3, 3]), (5, [3, 2]), (1, [1])):
        part = Dataset(data.X[:n_rows], data.y[:n_rows])
        batches = list(Batches(part, 3))
        assert [len(X) for X, _ in batches] == sizes
        assert len(Batches(part, 3)) == len(sizes)
        assert_array_equal(torch.cat([y for _, y in batches]), np.arange(n_rows))


def module_and_codes():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        rows = np.random.default_rng(0).uniform(size=(50, 4))
        heads = Heads(FeatureSpace().fit(rows), rows)
        module = LatentModule(Layout(4), [0.5, 0.5], 2, 3, dtype="float64")
    return rows, module, Codes(heads, module)


def test_codes_are_those_of_the_modules():
    rows, module, codes = module_and_codes()
    columns, z, z_u = codes.encode(rows)
    X = torch.as_tensor(columns)
    with torch.no_grad():
        assert_allclose(z, module.encoder(X).numpy(), atol=1e-12)
        assert_allclose(z_u, module.residual_encoder(X).numpy(), atol=1e-12)
        assert_allclose(codes.decode(z, z_u), module(X).numpy(), atol=1e-12)


def test_pullback_of_the_decoder_is_that_of_torch():
    _, module, codes = module_and_codes()
    code = torch.randn(9, 5, dtype=torch.float64, requires_grad=True)
    V = np.random.default_rng(1).normal(size=(9, 4))
    out = module.decode(code[:, :2], code[:, 2:])
    (expected,) = torch.autograd.grad((out * torch.as_tensor(V)).sum(), code)
    assert_allclose(codes.pullback(code.detach().numpy(), V), expected.numpy(), atol=1e-12)


@pytest.mark.parametrize("n_rows", [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK])
def test_batches_are_of_one_size(n_rows):
    class Recorder:
        sizes = set()

        def values(self, X):
            self.sizes.add(len(X))
            return 2 * X

    X = np.random.default_rng(0).normal(size=(n_rows, 3))
    assert_array_equal(in_chunks(Recorder(), X), 2 * X)
    assert Recorder.sizes == {CHUNK}


def test_rows_do_not_depend_on_how_many_there_are_to_the_bit():
    rows, _, codes = module_and_codes()
    together = codes.encode(rows)
    for i in (0, 7, 49):
        alone = codes.encode(rows[i : i + 1])
        for one, all_ in zip(alone, together, strict=True):
            assert_allclose(one[0], all_[i], rtol=0, atol=1e-15)


def tiny():
    X = np.random.default_rng(0).normal(size=(120, 3))
    model = LogisticRegression().fit(X, X.sum(axis=1) > 0)
    options = {"latent_dim": 2, "residual_dim": 2, "max_epochs": 10, "lr": 0.01}
    return X, GMMLatentExplainer(model, random_state=0, **options).fit(X)


def test_pickles_load_where_the_device_of_training_is_not():
    X, explainer = tiny()
    if torch.cuda.is_available():
        pytest.skip("there is a device")
    expected = explainer.transform(X)
    vars(explainer.net_)["device"] = "cuda"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # skorch says that it takes the processor
        copy = pickle.loads(pickle.dumps(explainer))
    assert_array_equal(copy.transform(X), expected)


def test_the_literal_confusion_is_not_bounded_and_the_other_is():
    X, explainer = tiny()
    columns = explainer._codes.heads.columns(X)
    y = explainer.estimator_.predict(X).astype(int)
    lowest = {}
    for confusion in ("bounded", "literal"):
        net = GMMLatentNet(
            confusion=confusion,
            adversary_weight=100.0,
            onlooker_lr_factor=0.01,
            lr=0.02,
            max_epochs=40,
            batch_size=10,
            verbose=0,
            module__layout=Layout(3),
            module__class_weights=np.bincount(y) / len(y),
        )
        with torch.random.fork_rng():
            torch.manual_seed(0)
            net.fit(torch.as_tensor(columns, dtype=torch.float32), torch.as_tensor(y))
        lowest[confusion] = min(net.history[:, "confusion_loss"])
    assert lowest["bounded"] >= -1e-6
    assert lowest["literal"] < -5.0
