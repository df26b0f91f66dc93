"""The skorch net that trains the modules by Algorithm 1."""

import math

import torch
from skorch import NeuralNet
from skorch.callbacks import PassthroughScoring
from skorch.dataset import unpack_data
from skorch.utils import to_device, to_tensor
from torch import nn

from skcf.latent._losses import (
    adversary_loss,
    classification_loss,
    confusion_loss,
    likelihood_loss,
    reconstruction_loss,
    swap_loss,
)
from skcf.latent._modules import LatentModule

__all__ = ["Batches", "GMMLatentNet"]

TERMS = (
    "classification_loss",
    "likelihood_loss",
    "reconstruction_loss",
    "adversary_loss",
    "confusion_loss",
    "swap_loss",
    "surrogate_loss",
)


class Batches:
    """Rows in batches, in a new order at each pass where they are shuffled.

    Slices of the whole tensor: a loader that collects single rows is several times as slow. A last
    batch of a single row goes with the one before: batch normalisation has no variance of it.
    """

    def __init__(self, dataset, batch_size, shuffle=False):
        self._X, self._y = _rows_of(dataset)
        self._batch_size, self._shuffle = batch_size, shuffle

    def __len__(self):
        return max(1, math.ceil((len(self._X) - 1) / self._size))

    @property
    def _size(self):
        return len(self._X) if self._batch_size == -1 else self._batch_size

    def __iter__(self):
        n_rows = len(self._X)
        order = torch.randperm(n_rows) if self._shuffle else torch.arange(n_rows)
        parts = list(order.split(self._size))
        if len(parts) > 1 and len(parts[-1]) == 1:
            parts[-2:] = [torch.cat(parts[-2:])]
        for index in parts:
            yield self._X[index], self._y[index]


def _rows_of(dataset):
    """The rows and labels of a data set, or of a part of one."""
    if hasattr(dataset, "indices"):
        X, y = _rows_of(dataset.dataset)
        index = torch.as_tensor(dataset.indices)
        return X[index], y[index]
    return dataset.X, dataset.y


class GMMLatentNet(NeuralNet):
    """Trains encoders, decoder, adversary and mixture together.

    Each batch is three updates: of the adversary by Eq. 7; of Encoder and the mixture by Eq. 6; of
    both encoders and the decoder by Eq. 9. The surrogate has one of its own. Everything else is
    skorch's: callbacks, ``train_split`` and early stopping, ``partial_fit``, ``save_params``,
    ``device``. Beside the losses that skorch records, the history has one mean an epoch for each
    term.

    Parameters
    ----------
    module : class, default=LatentModule
        What is trained.
    likelihood_weight : float, default=0.5
        Weight of the likelihood in Eqs. 6 and 9.
    adversary_weight : float, default=0.05
        Weight of the confusion of the adversary.
    reconstruction_weight : float, default=30.0
        Weight of the reconstruction, which is a mean over features: the paper's sum of squares
        over some thirty columns.
    swap_weight : float, default=1.0
        Weight of what the surrogate says of rows with the code of another class.
    confusion : {"bounded", "literal"}, default="bounded"
        "bounded": `confusion_loss`. "literal": minus Eq. 7, as printed, which is not bounded from
        below.
    temperature : float, default=0.5
        Of the softmax of categories in the last epoch; 1 in the first, and geometric in between.
    onlooker_lr_factor : float, default=5.0
        How much faster adversary and surrogate learn than those that they look at.
    final_lr_factor : float or None, default=0.01
        Share of the learning rate that is left in the last epoch; it falls as a half cosine. None:
        it stays, or is left to a callback.
    criterion, optimizer, lr, max_epochs, batch_size, ... : object
        As skorch has them.
    """

    def __init__(
        self,
        module=LatentModule,
        *,
        likelihood_weight=0.5,
        adversary_weight=0.05,
        reconstruction_weight=30.0,
        swap_weight=1.0,
        confusion="bounded",
        temperature=0.5,
        onlooker_lr_factor=5.0,
        final_lr_factor=0.01,
        criterion=nn.MSELoss,
        optimizer=torch.optim.Adam,
        lr=1e-3,
        iterator_train=Batches,
        iterator_train__shuffle=True,
        iterator_valid=Batches,
        train_split=None,
        **options,
    ):
        super().__init__(
            module,
            criterion=criterion,
            optimizer=optimizer,
            lr=lr,
            iterator_train=iterator_train,
            iterator_valid=iterator_valid,
            train_split=train_split,
            iterator_train__shuffle=iterator_train__shuffle,
            **options,
        )
        self.likelihood_weight = likelihood_weight
        self.adversary_weight = adversary_weight
        self.reconstruction_weight = reconstruction_weight
        self.swap_weight = swap_weight
        self.confusion = confusion
        self.temperature = temperature
        self.onlooker_lr_factor = onlooker_lr_factor
        self.final_lr_factor = final_lr_factor

    @property
    def _default_callbacks(self):
        terms = [(name, PassthroughScoring(name, on_train=True)) for name in TERMS]
        first, *rest = super()._default_callbacks
        return [first, *terms, *rest]

    def initialize_optimizer(self, triggered_directly=None):
        """Make one optimizer for each update of Algorithm 1, with the same options."""
        module = self.module_
        autoencoder = (module.encoder, module.residual_encoder, module.decoder)
        self.optimizer_ = self._optimizer_of(*autoencoder)
        self.optimizer_mixture_ = self._optimizer_of(module.encoder, module.mixture)
        onlookers = [module.adversary] + ([] if module.surrogate is None else [module.surrogate])
        self.optimizer_onlookers_ = self._optimizer_of(*onlookers)
        for group in self.optimizer_onlookers_.param_groups:
            group["lr"] *= self.onlooker_lr_factor
        return self

    def _optimizer_of(self, *parts):
        named = [
            (f"{i}.{name}", p)
            for i, part in enumerate(parts)
            for name, p in part.named_parameters()
        ]
        args, options = self.get_params_for_optimizer("optimizer", named)
        if self.optimizer is torch.optim.Adam:  # small nets: many calls for little work
            options = {"fused": True, **options}
        return self.optimizer(*args, **options)

    def on_train_begin(self, net, X=None, y=None, **kwargs):
        """Remember which epoch is the first."""
        super().on_train_begin(net, X, y, **kwargs)
        self.begun_at = len(self.history)

    def on_epoch_begin(self, net, dataset_train=None, dataset_valid=None, **kwargs):
        """Anneal the temperature, and the learning rate."""
        super().on_epoch_begin(net, dataset_train, dataset_valid, **kwargs)
        epoch = len(self.history) - 1
        done = min(1.0, (epoch - self.begun_at) / max(1, self.max_epochs - 1))
        # a net that goes on has been annealed
        self.module_.layout.temperature = float(self.temperature ** (1 if self.begun_at else done))
        if self.final_lr_factor is None:
            return
        last = self.final_lr_factor
        share = last + (1 - last) * (1 + math.cos(math.pi * done)) / 2
        for optimizer in (self.optimizer_, self.optimizer_mixture_, self.optimizer_onlookers_):
            for group in optimizer.param_groups:
                group["lr"] = share * group.setdefault("first_lr", group["lr"])

    def train_step(self, batch, **fit_params):
        """Do the updates of Algorithm 1 with a batch, and record what each term was."""
        X, y = self._on_device(batch)
        self._set_training(True)
        module = self.module_
        log_density = module.mixture.log_density(module.encoder(X))
        terms = {
            "classification_loss": classification_loss(log_density, module.mixture.log_prior, y),
            "likelihood_loss": likelihood_loss(log_density, y),
        }
        self._update(self.optimizer_mixture_, self._mixture_loss(terms))
        z_u = module.residual_encoder(X)
        onlookers = {"adversary_loss": adversary_loss(module.adversary(z_u.detach()), y)}
        if module.surrogate is not None:
            onlookers["surrogate_loss"] = swap_loss(module.surrogate(X), y)
        self._update(self.optimizer_onlookers_, sum(onlookers.values()))
        second, raw = self._autoencoder_terms(X, y, z_u)
        loss = self._total(second)
        self._update(self.optimizer_, loss)
        self._record({**second, **terms, **onlookers})
        self.notify("on_grad_computed", named_parameters=iter(()), batch=batch, training=True)
        return {"loss": loss.detach(), "y_pred": raw.detach()}

    def validation_step(self, batch, **fit_params):
        """Find the loss of Eq. 9 with that of Eq. 6, which early stopping watches."""
        X, y = self._on_device(batch)
        self._set_training(False)
        module = self.module_
        with torch.no_grad():
            terms, raw = self._autoencoder_terms(X, y, module.residual_encoder(X))
            log_density = module.mixture.log_density(module.encoder(X))
            log_prior = module.mixture.log_prior
            loss = self._total(terms) + classification_loss(log_density, log_prior, y)
        return {"loss": loss, "y_pred": raw}

    def _on_device(self, batch):
        X, y = unpack_data(batch)
        return to_tensor(X, device=self.device), to_tensor(y, device=self.device)

    def _autoencoder_terms(self, X, y, z_u):
        """The terms of Eq. 9."""
        module = self.module_
        z = module.encoder(X)
        raw = module.decode(z, z_u)
        logits = module.adversary(z_u)
        terms = {
            "reconstruction_loss": reconstruction_loss(raw, X, module.layout),
            "likelihood_loss": likelihood_loss(module.mixture.log_density(z), y),
            "confusion_loss": (
                -adversary_loss(logits, y)
                if self.confusion == "literal"
                else confusion_loss(logits, module.mixture.log_prior)
            ),
        }
        if module.surrogate is not None:
            terms["swap_loss"] = self._swap_loss(X, y, raw, z_u)
        return terms, raw

    def _swap_loss(self, X, y, raw, z_u):
        """What the surrogate says of the rows with the code of another class."""
        module = self.module_
        n_classes = len(module.mixture.means)
        other = (y + to_device(torch.randint(1, n_classes, y.shape), y.device)) % n_classes
        swapped = module.layout.soft(module.decode(module.mixture.draw(other).detach(), z_u))
        return swap_loss(module.surrogate(module.layout.hardened(swapped)), other)

    def _mixture_loss(self, terms):
        """Eq. 6."""
        return terms["classification_loss"] + self.likelihood_weight * terms["likelihood_loss"]

    def _total(self, terms):
        """Eq. 9, and the surrogate's part."""
        loss = self.reconstruction_weight * terms["reconstruction_loss"]
        loss = loss + self.likelihood_weight * terms["likelihood_loss"]
        loss = loss + self.adversary_weight * terms["confusion_loss"]
        return loss + self.swap_weight * terms["swap_loss"] if "swap_loss" in terms else loss

    def _update(self, optimizer, loss):
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()

    def _record(self, terms):
        """Write the terms to the history, and stop where one is no number any more."""
        for name, value in terms.items():
            value = float(value.detach())
            if not math.isfinite(value):
                raise ValueError(
                    f"Training broke off in epoch {len(self.history)}: {name} is {value}. Lower "
                    "lr, or the weight of that term."
                )
            self.history.record_batch(name, value)
