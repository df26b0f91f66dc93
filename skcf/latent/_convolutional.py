"""Convolutional encoders and decoders of images, which come and go as flat rows."""

from functools import partial

from torch import nn

__all__ = ["ConvolutionalDecoder", "ConvolutionalEncoder", "convolutional"]

N_HIDDEN = 128
STRIDE = 2


class ConvolutionalEncoder(nn.Sequential):
    """Three convolutions and two dense layers.

    The paper's (Table 5: kernels of 2, stride 1, then ``Linear(22912, 128)``) does not fit
    together: the third convolution gives 32 x 25 x 25 = 20,000 numbers. Repaired, with 15 numbers
    for Encoder and 25 for Encoder_u, and strides of 2, which make it ten times as fast:
    ``Conv2d(1, 8, 3)``, ReLU; ``Conv2d(8, 16, 3)``, BatchNorm2d, ReLU; ``Conv2d(16, 32, 3)``,
    LeakyReLU; ``Linear(32 * 4 * 4, 128)``, ReLU; ``Linear(128, n_outputs)`` for 28 x 28 pixels.
    With ``stride=1, kernel_size=2, padding=0`` it is the paper's, with 20,000 numbers.

    Parameters
    ----------
    n_inputs, n_outputs : int
        Pixels, with channels, and numbers of the code.
    image_shape : tuple of int
        Rows and columns of pixels, or channels and these.
    channels : tuple of int, default=(8, 16, 32)
        Of the convolutions.
    kernel_size, stride, padding : int
        Of each of them.
    """

    def __init__(
        self,
        n_inputs,
        n_outputs,
        *,
        image_shape,
        channels=(8, 16, 32),
        kernel_size=3,
        stride=STRIDE,
        padding=1,
    ):
        sizes = [_channels_first(image_shape)]
        layers = [nn.Unflatten(1, sizes[0])]
        after = [[nn.ReLU()], [nn.BatchNorm2d(channels[1]), nn.ReLU()], [nn.LeakyReLU()]]
        for n_channels, extra in zip(channels, after, strict=True):
            n_in, *pixels = sizes[-1]
            layers += [nn.Conv2d(n_in, n_channels, kernel_size, stride, padding), *extra]
            pixels = [(n + 2 * padding - kernel_size) // stride + 1 for n in pixels]
            sizes.append((n_channels, *pixels))
        n_flat = sizes[-1][0] * sizes[-1][1] * sizes[-1][2]
        layers += [nn.Flatten(), nn.Linear(n_flat, N_HIDDEN), nn.ReLU()]
        super().__init__(*layers, nn.Linear(N_HIDDEN, n_outputs))


class ConvolutionalDecoder(nn.Sequential):
    """The same backwards, up to a sigmoid.

    The paper's takes the 25 numbers of Encoder_u alone. Repaired: 15 + 25 = 40 numbers;
    ``Linear(40, 128)``, ReLU; ``Linear(128, 32 * 4 * 4)``, ReLU; ``ConvTranspose2d(32, 16, 3)``,
    BatchNorm2d, ReLU; ``ConvTranspose2d(16, 8, 3)``, BatchNorm2d, ReLU;
    ``ConvTranspose2d(8, 1, 3)``, sigmoid.

    Parameters
    ----------
    n_inputs, n_outputs : int
        Numbers of both codes, and pixels with channels.
    image_shape : tuple of int
        Rows and columns of pixels, or channels and these.
    channels : tuple of int, default=(32, 16, 8)
        Of the images on the way.
    kernel_size, stride, padding : int
        Of each transposed convolution.
    """

    def __init__(
        self,
        n_inputs,
        n_outputs,
        *,
        image_shape,
        channels=(32, 16, 8),
        kernel_size=3,
        stride=STRIDE,
        padding=1,
    ):
        n_last, *pixels = _channels_first(image_shape)
        sizes = [pixels]
        for _ in channels:
            sizes.append([(n + 2 * padding - kernel_size) // stride + 1 for n in sizes[-1]])
        first = (channels[0], *sizes[-1])
        layers = [nn.Linear(n_inputs, N_HIDDEN), nn.ReLU()]
        layers += [nn.Linear(N_HIDDEN, first[0] * first[1] * first[2]), nn.ReLU()]
        layers.append(nn.Unflatten(1, first))
        ends = [*channels[1:], n_last]
        for i, (n_in, n_out) in enumerate(zip(channels, ends, strict=True)):
            small, large = sizes[-1 - i], sizes[-2 - i]
            # what the division by the stride has cut off on the way down
            extra = [
                n - ((m - 1) * stride - 2 * padding + kernel_size)
                for m, n in zip(small, large, strict=True)
            ]
            layers.append(nn.ConvTranspose2d(n_in, n_out, kernel_size, stride, padding, extra))
            if i < len(channels) - 1:
                layers += [nn.BatchNorm2d(n_out), nn.ReLU()]
        super().__init__(*layers, nn.Sigmoid(), nn.Flatten())


def convolutional(image_shape):
    """Make encoders and decoders of images of one shape, by name."""
    return {
        "encoder": partial(ConvolutionalEncoder, image_shape=image_shape),
        "decoder": partial(ConvolutionalDecoder, image_shape=image_shape),
    }


def _channels_first(image_shape):
    return tuple(image_shape) if len(image_shape) == 3 else (1, *image_shape)
